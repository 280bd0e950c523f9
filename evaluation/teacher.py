"""The teacher as a driver of its own kind: bidirectional, many steps, guided, a whole clip at once."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from evaluation.drive.reference import text_context
from evaluation.drive.script import Opening
from student.rollout import philox_noise
from student.student import Student
from training.noise import warp
from training.teacher import guided_flow


@torch.no_grad()
def teacher_latents(student: Student, opening: Opening, *, chunks: int, steps: int, guidance: float) -> Tensor:
    """[F, C, h, w]: a clip of `chunks` chunks by Euler steps along the guided flow.

    Raises:
        ValueError: fewer than one step, or a negative guidance.
    """
    if steps < 1 or guidance < 0:
        raise ValueError(f"at least one step and no negative guidance, got {steps} and {guidance}")
    geometry = student.geometry
    pictures = (torch.from_numpy(opening.person), torch.from_numpy(opening.garment))
    conditions = torch.stack([student.vae.encode_image(picture[None]) for picture in pictures], dim=1)
    context, empty = text_context(student, opening.prompt), text_context(student, "")
    shape = (1, chunks * geometry.chunk_frames, *geometry.latent_shape)
    x = philox_noise(opening.seed)(0, 0, 0, shape)
    for sigma, lower in pairwise(warp(torch.linspace(1, 0, steps + 1), student.schedule.shift).tolist()):
        at = torch.full(x.shape[:2], sigma)
        flow = guided_flow(student.network, conditions, x, at, context, empty, guidance=guidance)
        x = x + (lower - sigma) * flow
    return x[0]
