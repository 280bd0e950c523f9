"""What one step of the embedded student costs: where the step times of `simulation/profiles` come from.

CPU time of the calling thread, with one ONNX Runtime thread a model instance: what else runs on the machine changes it
less than it changes the clock's time.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.in_process import InProcess, in_process
from contract.cache_plan import PassPlan
from contract.tensors import Manifest
from executors.onnx_session import THREADS_VARIABLE
from service.engine.base import Frames, Latents

CHUNKS = 14
_PASSES = 5


class _Timed(InProcess):
    """Notes what each pass and each decoding cost its thread."""

    costs: dict[str, list[float]]

    def _run(
        self, plan: PassPlan, latent: Latents, timestep: int, *, text_context: NDArray[np.float32] | None = None
    ) -> Latents:
        began_s = time.thread_time()
        flow = super()._run(plan, latent, timestep, text_context=text_context)
        self.costs["prefill" if text_context is not None else "pass"].append(time.thread_time() - began_s)
        return flow

    def _decode(self, latent: Latents, read_bank: int | None, write_bank: int) -> Frames:
        began_s = time.thread_time()
        frames = super()._decode(latent, read_bank, write_bank)
        self.costs["decode"].append(time.thread_time() - began_s)
        return frames


def measure(repository: Path) -> dict[str, float | str]:
    """Medians in milliseconds: passes with a full window, decodings of a chunk that is not the first, one prefill."""
    os.environ[THREADS_VARIABLE] = "1"
    geometry = Manifest.read(repository).geometry
    picture = np.full((geometry.frame_height, geometry.frame_width, 3), 127, np.uint8)
    with in_process(repository, _Timed) as graphs:
        assert isinstance(graphs, _Timed)
        graphs.costs = defaultdict(list)
        for _ in graphs.chunks(picture, picture, "a coat", seed=1, count=CHUNKS):
            pass
        costs = graphs.costs
    full = costs["pass"][_PASSES * len(geometry.attended_lengths()) :]
    return {
        "scope": f"{geometry.name}, one thread, CPU time, {len(full)} passes, {CHUNKS - 1} decodings",
        "prefill_ms": 1e3 * costs["prefill"][0],
        "pass_ms": 1e3 * statistics.median(full),
        "decode_ms": 1e3 * statistics.median(costs["decode"][1:]),
    }
