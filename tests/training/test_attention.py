"""Three ways to attend under one mask agree."""

import pytest
import torch
from torch import Tensor

from student.dit import Attend
from student.teacher_forcing import frame_mask
from training import attention
from training.forcing import Layout

N = 4
CPU = torch.device("cpu")


def _random_mask() -> Tensor:
    mask = torch.rand(7, 7, generator=torch.Generator().manual_seed(1)) < 0.4
    return mask | torch.eye(7, dtype=torch.bool)


MASKS = {
    "whole": frame_mask(chunks=3, chunk_frames=2),
    "trimmed": Layout(chunks=3, chunk_frames=2).mask,
    "random": _random_mask(),
}


def _inputs(mask: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, 3, len(mask) * N, 16, generator=generator, requires_grad=True) for _ in range(3)]


def _with_gradients(way: Attend, inputs: list[Tensor]) -> list[Tensor]:
    out = way(*inputs)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.mark.parametrize("name", MASKS)
def test_attention_by_blocks_is_dense_attention_under_the_mask_gradients_included(name: str) -> None:
    mask = MASKS[name]
    inputs = _inputs(mask)
    ways = (attention.dense(mask, tokens_per_frame=N), attention.by_blocks(mask, tokens_per_frame=N))
    for want, got in zip(*(_with_gradients(way, inputs) for way in ways), strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_is_dense_attention_under_the_mask(name: str) -> None:
    mask = MASKS[name]
    inputs = [tensor.detach() for tensor in _inputs(mask)]
    want = attention.dense(mask, tokens_per_frame=N)(*inputs)
    got = attention.flex(mask, tokens_per_frame=N, device=CPU)(*inputs)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_a_cpu_attends_by_blocks() -> None:
    inputs = [tensor.detach() for tensor in _inputs(MASKS["trimmed"])]
    got = attention.attend(MASKS["trimmed"], tokens_per_frame=N, device=CPU)(*inputs)
    torch.testing.assert_close(got, attention.dense(MASKS["trimmed"], tokens_per_frame=N)(*inputs), atol=1e-5, rtol=0)
