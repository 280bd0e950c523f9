"""Drawings through the student's VAE: the error that no student can get below."""

from __future__ import annotations

import numpy as np
import torch

from evaluation.metrics.arrays import Frames
from student.vae import StreamingVae


@torch.no_grad()
def reconstructed(vae: StreamingVae, frames: Frames) -> Frames:
    """A segment's frames [1 + stride k, H, W, 3] through encoder and streaming decoder.

    Raises:
        ValueError: there are more or fewer frames.
    """
    stride = int(vae.vae.config.scale_factor_temporal)
    if len(frames) % stride != 1:
        raise ValueError(f"a segment has one frame and then {stride} at a time, not {len(frames)}")
    caches: tuple[torch.Tensor, ...] | None = None
    shown = []
    for latent in vae.encode_video(torch.from_numpy(frames)[None])[0]:
        decoded, caches = vae.decode(latent[None], caches)
        shown.append(decoded.numpy())
    return np.concatenate(shown)
