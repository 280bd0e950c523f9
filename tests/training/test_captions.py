"""Captions: what is dropped, what fits, what is encoded."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from contract.byte_tokenizer import BYTE_OFFSET
from service.engine import tokenizer as service
from training import stages
from training.captions import contexts, drop, open_tokenizer, tokens
from training.networks import Networks
from training.presets import TINY
from training.stage import Scene

CPU = torch.device("cpu")


def test_a_caption_is_left_out_where_its_chance_is_below_the_share() -> None:
    assert drop(["a", "b", "c"], torch.tensor([0.05, 0.1, 0.5]), share=0.1) == ["", "b", "c"]


def test_a_caption_that_does_not_fit_is_refused() -> None:
    assert tokens(["1234567"], length=8)[1].sum() == 8
    with pytest.raises(ValueError, match="9 tokens, and 8 fit: '12345678'"):
        tokens(["12345678"], length=8)


def test_a_published_text_encoder_is_given_the_ids_that_the_service_gives_it(tmp_path: Path) -> None:
    made = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 2, "she": 3, "walks": 4}, unk_token="<unk>"))
    made.pre_tokenizer = Split(" ", "isolated")
    made.enable_padding(length=8, pad_token="<pad>")
    made.enable_truncation(max_length=2)
    made.save(str(tmp_path / "tokenizer.json"))
    caption = " she  walks\nshe "
    served = service.open_tokenizer("tokenizer.json", tmp_path)(caption)
    tokenize = open_tokenizer(tmp_path / "tokenizer.json")
    assert tokenize(caption) == served
    assert tokens([caption], length=8, tokenize=tokenize)[0].tolist() == [served + [0] * (8 - len(served))]


def test_a_file_that_is_no_tokenizer_or_pads_with_another_id_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer"):
        open_tokenizer(file)
    Tokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>")).save(str(file))
    with pytest.raises(ValueError, match="id 0 is '<unk>', not '<pad>'"):
        open_tokenizer(file)


def test_a_stages_captions_go_through_its_scenes_tokenizer(scene: Scene) -> None:
    networks = stages.teacher_stage(replace(scene, tokenize=lambda _caption: [7, 1]))._networks
    by_bytes = Networks.untrained(TINY, CPU).frozen()
    with torch.no_grad():
        got, want = networks.context(["left"], TINY), by_bytes.context([chr(7 - BYTE_OFFSET)], TINY)
    torch.testing.assert_close(got, want)


def test_repeated_captions_have_one_context_each_in_its_place() -> None:
    encoder = Networks.untrained(TINY, CPU).frozen().text_encoder
    together = contexts(encoder, ["left", "right", "left"], length=12, device=CPU)
    assert torch.equal(together[0], together[2])
    alone = contexts(encoder, ["right"], length=12, device=CPU)
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)
