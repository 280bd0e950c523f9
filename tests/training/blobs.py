"""Latents that a tiny network can learn: a blob wanders over the reference's background in the garment's colours."""

import math

import torch

from training.batch import LatentBatch
from training.draws import Draws
from training.presets import Preset

CAPTIONS = ("walks left", "walks right")


class BlobSource:
    """Each sample's direction stands in its caption and its colour in its garment."""

    def __init__(self, preset: Preset, batch: int) -> None:
        self._preset, self._batch = preset, batch

    def draw(self, step: int) -> LatentBatch:
        C, h, w = self._preset.geometry.latent_shape
        draws = Draws("blobs", step, batch=self._batch)
        background, colour = draws.normal(C, 1, 1).expand(-1, C, h, w), draws.normal(C, 1, 1)
        right = draws.whole(2)
        at = torch.arange(self._preset.frames) / self._preset.frames
        angle = 2 * math.pi * torch.where(right[:, None] > 0, at, -at)[:, :, None]
        bump = torch.exp(2 * torch.cos(angle - 2 * math.pi * torch.arange(w) / w) - 2)[:, :, None, None, :]
        video = background[:, None] * (1 - bump) + colour[:, None] * bump
        return LatentBatch(
            reference=background,
            garment=colour.expand(-1, C, h, w),
            video=video,
            captions=[CAPTIONS[i] for i in right.tolist()],
        )
