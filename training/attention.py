"""Three ways to attend under one mask: dense, by blocks of rows, and FlexAttention. Tests hold them equal.

FlexAttention has no backward pass on a CPU. There, the rows of a chunk attend whole frames, so that each chunk attends
its own selection of columns without a mask: less arithmetic than dense attention over all of them.
"""

from __future__ import annotations

from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from student.dit import Attend

_FLEX_FROM = 4096
"""Tokens from which compiling FlexAttention pays; its blocks of 128 tokens would hide little of a shorter mask."""


def attend(frames: Tensor, *, tokens_per_frame: int, device: torch.device) -> Attend:
    """The fastest way on a device; `frames` [n, n] bool says which frame attends which."""
    if device.type == "cuda" and len(frames) * tokens_per_frame >= _FLEX_FROM:
        block_mask = flex_mask(frames, tokens_per_frame=tokens_per_frame, device=device)
        compiled = torch.compile(flex_attention, dynamic=False)
        return lambda q, k, v: compiled(q, k, v, block_mask=block_mask)
    return by_blocks(frames, tokens_per_frame=tokens_per_frame)


def dense(frames: Tensor, *, tokens_per_frame: int) -> Attend:
    """Every row against every column, under the mask."""
    mask = frames.repeat_interleave(tokens_per_frame, 0).repeat_interleave(tokens_per_frame, 1)
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.device))


def flex_mask(frames: Tensor, *, tokens_per_frame: int, device: torch.device) -> BlockMask:
    """The mask as FlexAttention wants it: blocks that are wholly dark are never computed."""
    frames = frames.to(device)
    length = len(frames) * tokens_per_frame

    def allowed(_batch: Tensor, _head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return frames[row // tokens_per_frame, column // tokens_per_frame]

    return create_block_mask(allowed, None, None, length, length, device=device.type)


def flex(frames: Tensor, *, tokens_per_frame: int, device: torch.device) -> Attend:
    """FlexAttention without compilation: slow, for comparison."""
    block_mask = flex_mask(frames, tokens_per_frame=tokens_per_frame, device=device)
    return lambda q, k, v: flex_attention(q, k, v, block_mask=block_mask)


def by_blocks(frames: Tensor, *, tokens_per_frame: int) -> Attend:
    """Frames that attend the same columns go together, against those columns and no others."""
    rows: list[list[bool]] = frames.tolist()
    # Runs of frames that are rows of one block; the same runs split the columns, since frames that attend alike are
    # attended alike in every mask made of chunks. Where they aren't, runs shrink to what is.
    alike = [(tuple(row), tuple(column)) for row, column in zip(rows, frames.T.tolist(), strict=True)]
    runs = [(attended, len(list(run))) for attended, run in groupby(alike)]
    starts = [sum(length for _, length in runs[:i]) for i in range(len(runs))]
    sizes = [length * tokens_per_frame for _, length in runs]
    selections = [[i for i, start in enumerate(starts) if row[start]] for (row, _), _ in runs]

    def blockwise(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        queries, keys, values = (tensor.split(sizes, dim=2) for tensor in (q, k, v))
        out = [
            F.scaled_dot_product_attention(
                query, torch.cat([keys[i] for i in chosen], dim=2), torch.cat([values[i] for i in chosen], dim=2)
            )
            for query, chosen in zip(queries, selections, strict=True)
        ]
        return torch.cat(out, dim=2)

    return blockwise
