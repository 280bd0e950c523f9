"""In-place KV slots against clone-and-shift, the reference code's way: time and bytes moved for a chunk's eviction.

Clone-and-shift moves every retained recent frame one chunk down and appends the new chunk. In-place slots copy the
staged chunk over the oldest one. Both at a full window; the new chunk's keys and values already exist.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from contract.geometry import CONDITION_FRAMES, ITEM_BYTES, WAN_5B, StudentGeometry

RUNS = 9


def measure(geometry: StudentGeometry) -> dict[str, float | str]:
    """Medians over RUNS of one chunk's eviction in all layers of `geometry`, keys and values."""
    slot_items = geometry.tokens_per_frame * geometry.dim
    dtype = {2: np.float16, 4: np.float32}[ITEM_BYTES[geometry.cache_dtype]]
    shape = (geometry.num_layers, 2, geometry.window_frames, slot_items)
    block = np.zeros(shape, dtype)
    block[...] = 1  # touch every page: a zero page is not memory
    full, count = geometry.max_attended_frames, geometry.chunk_frames
    oldest = CONDITION_FRAMES + geometry.sink_frames

    def in_place() -> None:
        block[:, :, oldest : oldest + count] = block[:, :, full : full + count]

    def clone_and_shift() -> None:
        block[:, :, oldest : full - count] = block[:, :, oldest + count : full].copy()
        block[:, :, full - count : full] = block[:, :, full : full + count]

    slot_bytes = 2 * geometry.num_layers * slot_items * block.itemsize
    ours, theirs = _alternate(in_place, clone_and_shift)
    return {
        "scope": f"{geometry.name}: {geometry.num_layers} layers, window {geometry.window_frames}, {block.dtype}",
        "in_place_ms": 1000 * ours,
        "clone_and_shift_ms": 1000 * theirs,
        "in_place_mb": count * slot_bytes / 1e6,
        "clone_and_shift_mb": (2 * (full - count - oldest) + count) * slot_bytes / 1e6,
        "ratio": theirs / ours,
    }


def one_5b_layer() -> StudentGeometry:
    return replace(WAN_5B, name="one 5B layer", num_layers=1)


def _alternate(a: Callable[[], None], b: Callable[[], None]) -> tuple[float, float]:
    """Median seconds of each, run in turn so that a change of the machine's speed meets both."""
    times: dict[Callable[[], None], list[float]] = {a: [], b: []}
    for _ in range(RUNS + 1):
        for work in (a, b):
            began = time.perf_counter()
            work()
            times[work].append(time.perf_counter() - began)
    return statistics.median(times[a][1:]), statistics.median(times[b][1:])
