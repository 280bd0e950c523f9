"""Rotary position embedding over (time, height, width), and the sinusoids behind it, accurate in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor

THETA = 10_000.0
# A frequency's leading bits: times a whole position up to 2**11 they fill float32's 24 bits and no more.
_LEADING_BITS = 13


def axis_widths(head_dim: int) -> tuple[int, int, int]:
    """How a head of width d splits over t, h, w: d - 4 (d // 6), 2 (d // 6), 2 (d // 6); 128 gives 44, 42, 42."""
    spatial = 2 * (head_dim // 6)
    return head_dim - 2 * spatial, spatial, spatial


def frequencies(width: int) -> Tensor:
    """theta^(-2i / width) for i < width / 2, in float64."""
    return THETA ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


def cos_sin(position: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of position x frequency, in float32 and to float32's last digits.

    The plain float32 product loses 1e-4 of phase at position 1000. So the phase is counted in turns, and the frequency is
    split into leading bits, whose product with a whole position is exact and keeps only its fraction, and a small rest.

    Args:
        position: [...], whole numbers up to 2**11 for full accuracy.
        frequency: [n], float64, at most 1.

    Returns:
        Two tensors [..., n].
    """
    turns = frequency / (2 * math.pi)
    leading = torch.round(turns * 2**_LEADING_BITS) / 2**_LEADING_BITS
    at = position.to(torch.float32).unsqueeze(-1)
    whole = at * leading.to(torch.float32)
    angle = 2 * math.pi * (whole - torch.floor(whole) + at * (turns - leading).to(torch.float32))
    return torch.cos(angle), torch.sin(angle)


def rotation(position: Tensor, grid: tuple[int, int], head_dim: int) -> tuple[Tensor, Tensor]:
    """Rotation of every token of latent frames at the given temporal positions.

    Args:
        position: [B, F] temporal positions.
        grid: token rows and columns of a latent frame.

    Returns:
        cosine and sine, [B, F*N, 1, head_dim / 2] float32, tokens row by row within a frame.
    """
    batch, frames = position.shape
    rows, columns = grid
    time, height, width = (frequencies(axis).to(position.device) for axis in axis_widths(head_dim))
    at_time = cos_sin(position, time)
    at_row = cos_sin(torch.arange(rows, device=position.device), height)
    at_column = cos_sin(torch.arange(columns, device=position.device), width)

    def tokens(t: Tensor, h: Tensor, w: Tensor) -> Tensor:
        shape = (batch, frames, rows, columns)
        parts = (
            t[:, :, None, None].expand(*shape, -1),
            h[None, None, :, None].expand(*shape, -1),
            w[None, None, None, :].expand(*shape, -1),
        )
        return torch.cat(parts, dim=-1).reshape(batch, frames * rows * columns, 1, head_dim // 2)

    cosine, sine = (tokens(*parts) for parts in zip(at_time, at_row, at_column, strict=True))
    return cosine, sine


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate interleaved pairs of x [B, L, H, D]; `stack` and not slice assignment, which exports as ScatterND."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1).flatten(-2).to(x.dtype)
