"""Rotary embedding: accurate angles, only offsets matter."""

import math

import pytest
import torch

from contract.geometry import WAN_5B
from student.rope import Rope, Sinusoids, axis_widths, rotate


@pytest.mark.parametrize(("head_dim", "widths"), [(128, (44, 42, 42)), (64, (24, 20, 20)), (24, (8, 8, 8))])
def test_a_head_splits_over_time_height_and_width(head_dim: int, widths: tuple[int, int, int]) -> None:
    assert axis_widths(head_dim) == widths


# Two units in the last place of an angle just below a full turn: one for the sum in turns and its factor 2 pi (rounded
# too), one for the product. The plain float32 product is off by 1e-4 at position 2047.
ROUNDING = 2 * 2**-21


@pytest.mark.parametrize("width", [256, 44, 8])
def test_angles_are_exact_to_float32_over_every_timestep_and_table_position(width: int) -> None:
    position = torch.arange(2048)
    frequency = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = position.double()[:, None] * frequency
    cosine, sine = Sinusoids(width)(position)
    torch.testing.assert_close(cosine.double(), torch.cos(angle), atol=ROUNDING, rtol=0)
    torch.testing.assert_close(sine.double(), torch.sin(angle), atol=ROUNDING, rtol=0)


def test_frequencies_survive_a_change_of_the_modules_type() -> None:
    module = Sinusoids(32)
    before = module(torch.tensor([999]))
    after = module.to(torch.bfloat16)(torch.tensor([999]))
    assert torch.equal(before[0], after[0])


def test_scores_depend_on_offsets_only() -> None:
    torch.manual_seed(0)
    rope = Rope(24)
    q, k = torch.randn(1, 4, 2, 24), torch.randn(1, 4, 2, 24)

    def scores(shift: int) -> torch.Tensor:
        q_rotation, k_rotation = rope(torch.tensor([[5 + shift]]), (2, 2)), rope(torch.tensor([[shift]]), (2, 2))
        return torch.einsum("blhd,bmhd->bhlm", rotate(q, *q_rotation), rotate(k, *k_rotation))

    torch.testing.assert_close(scores(0), scores(1000), atol=1e-5, rtol=0)


def test_rotation_keeps_length_and_turns_the_first_pair_by_the_position() -> None:
    rope = Rope(24)
    x = torch.zeros(1, 1, 1, 24)
    x[..., 0] = 1.0
    turned = rotate(x, *rope(torch.tensor([[1]]), (1, 1)))
    assert turned[0, 0, 0, 0].item() == pytest.approx(math.cos(1), abs=1e-6)
    assert turned[0, 0, 0, 1].item() == pytest.approx(math.sin(1), abs=1e-6)


def test_the_windows_own_positions_are_as_accurate_however_long_the_stream_runs() -> None:
    position = torch.arange(WAN_5B.window_frames)  # all that relative positions ever use
    width = axis_widths(WAN_5B.head_dim)[0]
    angle = position.double()[:, None] * 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    cosine, sine = Sinusoids(width)(position)
    torch.testing.assert_close(cosine.double(), torch.cos(angle), atol=ROUNDING, rtol=0)
    torch.testing.assert_close(sine.double(), torch.sin(angle), atol=ROUNDING, rtol=0)
