"""Passes of several sessions at a full window: one behind the other, in place, or gathered into one run.

One run over a batch needs its caches side by side, so the gathered way copies each session's keys and values first.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from contract.tensors import STUDENT, Manifest, new_names, past_names
from executors.onnx_session import Binding, open_session

RUNS = 15
SESSIONS = 4


def measure(repository: Path) -> dict[str, float | str]:
    """Medians over RUNS, in turn, of one denoising pass of each of SESSIONS sessions."""
    geometry = Manifest.read(repository).geometry
    session = open_session(repository / STUDENT / "1" / "student.onnx")
    frames, past = geometry.chunk_frames, geometry.max_attended_frames
    generator = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return generator.standard_normal(shape, dtype=np.float32)

    heads = (geometry.num_heads, geometry.head_dim)
    cached = (past * geometry.tokens_per_frame, *heads)
    blocks = [
        {name: floats(1, *cached) for layer in range(geometry.num_layers) for name in past_names(layer)}
        for _ in range(SESSIONS)
    ]

    def pass_over(caches: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], batch: int) -> None:
        binding = Binding(session)
        inputs = {
            "latent": floats(batch, frames, *geometry.latent_shape),
            "timestep": np.full((batch, frames), 500, np.float32),
            "text_context": floats(batch, geometry.text_tokens, geometry.text_dim),
            "position": np.tile(np.arange(past, past + frames), (batch, 1)),
            "past_position": np.tile(np.arange(past), (batch, 1)),
            **caches,
        }
        outputs = {"flow": np.empty_like(inputs["latent"])}
        for layer in range(geometry.num_layers):
            for name in new_names(layer):
                outputs[name] = np.empty((batch, frames * geometry.tokens_per_frame, *heads), np.float32)
        for name, array in inputs.items():
            binding.read(name, array)
        for name, array in outputs.items():
            binding.write(name, array)
        binding.run()

    def in_place() -> None:
        for block in blocks:
            pass_over(block, 1)

    gathered = {name: np.empty((SESSIONS, *cached), np.float32) for name in blocks[0]}

    def gather() -> None:
        for name, target in gathered.items():
            np.concatenate([block[name] for block in blocks], out=target)
        pass_over(gathered, SESSIONS)

    times: dict[str, list[float]] = {"in_place": [], "gather": []}
    for _ in range(RUNS + 1):
        for name, work in (("in_place", in_place), ("gather", gather)):
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    one_by_one, together = (statistics.median(values[1:]) for values in times.values())
    return {
        "scope": f"a pass of each of {SESSIONS} sessions, full window, medians of {RUNS} runs in turn",
        "in_place_ms": 1000 * one_by_one,
        "gathered_ms": 1000 * together,
        "ratio": together / one_by_one,
    }
