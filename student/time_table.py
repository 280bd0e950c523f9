"""Time embeddings looked up: a schedule has five timesteps, and only of them are they ever asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TimeTable(nn.Module):
    """What `CausalDiT.embedded_time` returns, kept for the few timesteps that occur."""

    timesteps: Tensor
    vectors: Tensor

    def __init__(self, timesteps: Tensor, vectors: Sequence[Tensor]) -> None:
        """timesteps [P]; vectors: of the layers [P, 6, dim] and of the head [P, 1, dim]."""
        super().__init__()
        self._counts = [layer.shape[1] for layer in vectors]
        rows = torch.cat(tuple(vectors), dim=1)
        self.register_buffer("timesteps", timesteps.float(), persistent=False)
        # Another timestep gets the last row: a video of NaN is noticed, one denoised at the wrong timestep is not.
        self.register_buffer("vectors", F.pad(rows, (0, 0, 0, 0, 0, 1), value=math.nan), persistent=False)

    def forward(self, timestep: Tensor) -> tuple[Tensor, ...]:
        """[B, F] -> of the layers [B, F, 6, dim] and of the head [B, F, 1, dim], float32."""
        rows = len(self.timesteps)
        before_end = torch.arange(rows, 0, -1, device=timestep.device)
        row = rows - ((timestep.unsqueeze(-1) == self.timesteps) * before_end).sum(-1)
        vectors: tuple[Tensor, ...] = self.vectors[row].split(self._counts, dim=2)
        return vectors
