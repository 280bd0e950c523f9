"""What a training step reads: latents of references, garments and clips, with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from training.draws import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentBatch:
    """B samples as normalised float32 latents.

    Attributes:
        reference, garment: [B, C, h, w]; the garment worn in the reference is another than the target garment.
        video: [B, F, C, h, w], F = chunks x frames per chunk.
        captions: B prompts.
    """

    reference: Tensor
    garment: Tensor
    video: Tensor
    captions: Sequence[str]

    @property
    def size(self) -> int:
        return len(self.captions)

    @property
    def conditions(self) -> Tensor:
        """[B, 2, C, h, w]: reference and garment, in the order of their positions."""
        return torch.stack((self.reference, self.garment), dim=1)

    def part(self, share: Share, device: torch.device) -> LatentBatch:
        """One process's samples, on its device."""
        return self._rows(share.rows(self.size)).to(device)

    def first(self, count: int) -> LatentBatch:
        return self._rows(slice(0, count))

    def to(self, device: torch.device) -> LatentBatch:
        return LatentBatch(
            reference=self.reference.to(device),
            garment=self.garment.to(device),
            video=self.video.to(device),
            captions=self.captions,
        )

    def _rows(self, rows: slice) -> LatentBatch:
        return LatentBatch(
            reference=self.reference[rows],
            garment=self.garment[rows],
            video=self.video[rows],
            captions=self.captions[rows],
        )


class LatentSource(Protocol):
    """Training data as a function: the same step gives the same global batch, so that resuming equals not stopping."""

    def draw(self, step: int) -> LatentBatch: ...
