"""Contact sheets: what a training makes, as a person can see it."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from student.vae import StreamingVae
from training.stage import Sampled

_GAP = 2


class Sheets:
    """Draws samples decoded by a VAE: a row each, reference and garment first, then every `every`th frame."""

    def __init__(self, vae: StreamingVae, *, every: int = 4) -> None:
        self._vae = vae
        self._every = every

    @torch.no_grad()
    def __call__(self, sampled: Sampled, path: Path) -> None:
        device = self._vae.mean.device
        rows = [
            torch.cat(
                [*(frames(self._vae, latent[None]) for latent in shown), frames(self._vae, video)[:: self._every]]
            )
            for shown, video in zip(sampled.conditions.to(device), sampled.video.to(device), strict=True)
        ]
        Image.fromarray(_grid(torch.stack(rows).cpu()).numpy()).save(path)


def frames(vae: StreamingVae, latents: Tensor) -> Tensor:
    """A video [F, C, h, w] -> its frames [1 + 4 (F - 1), H, W, 3] uint8."""
    caches: tuple[Tensor, ...] | None = None
    shown = []
    for latent in latents:
        decoded, caches = vae.decode(latent[None], caches)
        shown.append(decoded)
    return torch.cat(shown)


def _grid(pictures: Tensor) -> Tensor:
    """[rows, columns, H, W, 3] -> one picture with white gaps."""
    rows, columns, height, width, _ = pictures.shape
    sheet = torch.full((rows, height + _GAP, columns, width + _GAP, 3), 255, dtype=torch.uint8)
    sheet[:, :height, :, :width] = pictures.permute(0, 2, 1, 3, 4)
    return sheet.flatten(2, 3).flatten(0, 1)
