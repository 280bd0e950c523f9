"""Rotary position embedding over (time, height, width), and the sinusoids behind it, accurate in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

THETA = 10_000.0
_LEADING_BITS = 13
_REST_BITS = 44


def axis_widths(head_dim: int) -> tuple[int, int, int]:
    """How a head of width d splits over t, h, w: d - 4 (d // 6), 2 (d // 6), 2 (d // 6); 128 gives 44, 42, 42."""
    spatial = 2 * (head_dim // 6)
    return head_dim - 2 * spatial, spatial, spatial


class Sinusoids(nn.Module):
    """Cosine and sine of position x theta^(-2i / width) for i < width / 2, to float32's last digits.

    The plain float32 product loses 1e-4 of phase at position 1000. So the phase is counted in turns, and a frequency is
    split in two: its leading 13 bits, whose product with a whole position up to 2**11 is exact and keeps only its
    fraction, and the rest. Both are kept as integers, which `module.to(dtype)` leaves alone, and on a real device
    even where the module is built on the meta device.
    """

    leading: Tensor
    rest: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = -torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width
        turns = THETA**exponent / (2 * math.pi)
        leading = torch.round(turns * 2**_LEADING_BITS)
        rest = torch.round((turns - leading / 2**_LEADING_BITS) * 2**_REST_BITS)
        self.register_buffer("leading", leading.to(torch.int32), persistent=False)
        self.register_buffer("rest", rest.to(torch.int32), persistent=False)

    def forward(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """[...] -> two tensors [..., width / 2], float32."""
        at = position.to(torch.float32).unsqueeze(-1)
        turns = at * (self.leading.to(torch.float32) / 2**_LEADING_BITS)
        angle = 2 * math.pi * (turns - torch.floor(turns) + at * (self.rest.to(torch.float32) / 2**_REST_BITS))
        return torch.cos(angle), torch.sin(angle)


class Rope(nn.Module):
    """Rotation of every token of latent frames."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        time, height, width = axis_widths(head_dim)
        self.time = Sinusoids(time)
        self.height = Sinusoids(height)
        self.width = Sinusoids(width)

    def forward(self, position: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Cosine and sine at temporal positions [B, F] for a grid of token rows and columns.

        Returns:
            Two tensors [B, F*N, 1, head_dim / 2], float32; the tokens of a frame row by row.
        """
        batch, frames = position.shape
        rows, columns = grid
        at_time = self.time(position)
        at_row = self.height(torch.arange(rows, device=position.device))
        at_column = self.width(torch.arange(columns, device=position.device))

        def tokens(t: Tensor, h: Tensor, w: Tensor) -> Tensor:
            shape = (batch, frames, rows, columns)
            parts = (
                t[:, :, None, None].expand(*shape, -1),
                h[None, None, :, None].expand(*shape, -1),
                w[None, None, None, :].expand(*shape, -1),
            )
            return torch.cat(parts, dim=-1).flatten(1, 3).unsqueeze(2)

        cosine, sine = (tokens(*parts) for parts in zip(at_time, at_row, at_column, strict=True))
        return cosine, sine


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate interleaved pairs of x [B, L, H, D]; `stack` and not slice assignment, which exports as ScatterND."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1).flatten(-2).to(x.dtype)
