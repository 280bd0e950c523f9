"""Captions: what is dropped, what fits, what is encoded."""

import pytest
import torch

from training.captions import contexts, drop, tokens
from training.networks import Networks
from training.presets import TINY

CPU = torch.device("cpu")


def test_a_caption_is_left_out_where_its_chance_is_below_the_share() -> None:
    assert drop(["a", "b", "c"], torch.tensor([0.05, 0.1, 0.5]), share=0.1) == ["", "b", "c"]


def test_a_caption_that_does_not_fit_is_refused() -> None:
    assert tokens(["1234567"], length=8)[1].sum() == 8
    with pytest.raises(ValueError, match="9 tokens, and 8 fit: '12345678'"):
        tokens(["12345678"], length=8)


def test_repeated_captions_have_one_context_each_in_its_place() -> None:
    encoder = Networks.untrained(TINY, CPU).frozen().text_encoder
    together = contexts(encoder, ["left", "right", "left"], length=12, device=CPU)
    assert torch.equal(together[0], together[2])
    alone = contexts(encoder, ["right"], length=12, device=CPU)
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)
