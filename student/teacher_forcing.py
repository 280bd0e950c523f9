"""The in-context teacher-forcing mask: one sequence holds a clean and a noisy copy of a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from contract.geometry import CONDITION_FRAMES


def frame_mask(*, chunks: int, chunk_frames: int) -> Tensor:
    """Which latent frame attends which, over [clean copy, noisy copy], each [reference, garment, video].

    Clean conditions see clean conditions; clean chunk k also sees clean chunks up to k. A noisy chunk sees the clean
    conditions, the clean chunks before it, and itself. The noisy copy's conditions see only themselves: dead weight.

    Returns:
        [2 (2 + K*F), 2 (2 + K*F)] bool, row attends column.
    """
    video = torch.arange(chunks).repeat_interleave(chunk_frames)
    chunk = torch.cat((torch.full((CONDITION_FRAMES,), -1), video))  # conditions come before every chunk
    frames = len(chunk)
    row, column = chunk[:, None], chunk[None, :]
    mask = torch.zeros(2 * frames, 2 * frames, dtype=torch.bool)
    mask[:frames, :frames] = column <= row
    mask[frames:, :frames] = column < row
    mask[frames:, frames:] = column == row
    return mask


def token_mask(*, chunks: int, chunk_frames: int, tokens_per_frame: int) -> Tensor:
    """`frame_mask` with every frame spread over its N tokens: [n, n], n = 2 (2 + K*F) N."""
    frames = frame_mask(chunks=chunks, chunk_frames=chunk_frames)
    return frames.repeat_interleave(tokens_per_frame, dim=0).repeat_interleave(tokens_per_frame, dim=1)
