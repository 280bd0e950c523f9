"""The text encoder: zero beyond the prompt, blind to what pads it."""

import pytest
import torch

from contract.byte_tokenizer import BYTE_OFFSET, EOS_ID, PAD_ID, VOCABULARY
from student.text import TextConfig, TextEncoder

LENGTH = 16


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        config = TextConfig(vocabulary=VOCABULARY, dim=16, ffn_dim=32, num_heads=2, num_layers=2)
        return TextEncoder(config.build()).eval().requires_grad_(False)


def _tokens(*prompts: str) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.full((len(prompts), LENGTH), PAD_ID)
    for row, prompt in zip(ids, prompts, strict=True):
        tokens = [byte + BYTE_OFFSET for byte in prompt.encode()] + [EOS_ID]
        row[: len(tokens)] = torch.tensor(tokens)
    return ids, (ids != PAD_ID).long()


def test_the_context_is_zero_beyond_the_prompt_and_nowhere_else(encoder: TextEncoder) -> None:
    ids, mask = _tokens("", "a red coat", "exactly 15 byte")
    context = encoder(ids, mask)
    assert context.shape == (3, LENGTH, 16)
    assert context.dtype == torch.float32
    assert torch.equal(context.abs().sum(-1) > 0, mask > 0)
    assert mask.sum(1).tolist() == [1, 11, 16]


def test_what_stands_behind_the_prompt_does_not_matter(encoder: TextEncoder) -> None:
    ids, mask = _tokens("a red coat")
    other = torch.where(mask > 0, ids, 77)
    assert torch.equal(encoder(ids, mask), encoder(other, mask))


def test_a_prompt_encodes_alone_as_it_does_in_a_batch(encoder: TextEncoder) -> None:
    ids, mask = _tokens("a red coat", "blue")
    torch.testing.assert_close(encoder(ids, mask)[1:], encoder(ids[1:], mask[1:]), atol=1e-6, rtol=0)
