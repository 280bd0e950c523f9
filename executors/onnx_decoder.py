"""The streaming VAE decoder over ONNX Runtime: one graph for a segment's first latent, one for every next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.geometry import StudentGeometry
from executors.base import DecodeCall
from executors.checks import check_block, check_decode, decoded_frames
from executors.host_arena import HostArena, HostArenas
from executors.onnx_session import Binding, open_session

FIRST_GRAPH = "first.onnx"
NEXT_GRAPH = "next.onnx"

Caches = Sequence[NDArray[np.float32]]


class OnnxDecoder:
    """DecoderExecutor on the CPU."""

    def __init__(self, folder: Path, geometry: StudentGeometry, *, probe_cell: int, arenas: HostArenas) -> None:
        if geometry.cache_dtype != "float32":
            raise ValueError(f"ONNX Runtime on the CPU caches float32, and the student wants {geometry.cache_dtype}")
        self._geometry = geometry
        self._arenas = arenas
        self._probe_cell = probe_cell
        self._first = open_session(folder / FIRST_GRAPH)
        self._next = open_session(folder / NEXT_GRAPH)
        self._between = [[np.empty(shape, np.float32) for shape in geometry.decoder_cache_shapes] for _ in range(2)]

    def run(self, call: DecodeCall) -> NDArray[np.uint8]:
        arena = self._arenas.attach(call.arena)
        check_decode(arena.layout, call)
        geometry = self._geometry
        count = decoded_frames(geometry, call)
        frames = np.empty((count, geometry.frame_height, geometry.frame_width, 3), np.uint8)
        caches: Caches | None = None if call.read_bank is None else arena.decoder_caches(call.block, call.read_bank)
        done = 0
        for latent, written in zip(call.latent, self._stations(arena, call), strict=True):
            made = 1 if caches is None else geometry.vae_temporal_stride
            self._decode(latent, caches, written, frames[done : done + made])
            caches, done = written, done + made
        return frames

    def clear(self, arena: str, block: int) -> None:
        attached = self._arenas.attach(arena)
        check_block(attached.layout, block)
        attached.clear(block, attached.layout.student_bytes, attached.layout.block_bytes)

    def probe(self, arena: str) -> None:
        self._arenas.attach(arena).file.probe(self._probe_cell)

    def _stations(self, arena: HostArena, call: DecodeCall) -> Iterator[Caches]:
        """Where each latent leaves the caches: our own memory in turn, the bank to write at the end."""
        between = cycle(self._between)
        for _ in range(len(call.latent) - 1):
            yield next(between)
        yield arena.decoder_caches(call.block, call.write_bank)

    def _decode(
        self, latent: NDArray[np.float32], caches: Caches | None, written: Caches, frames: NDArray[np.uint8]
    ) -> None:
        binding = Binding(self._first if caches is None else self._next)
        binding.read("latent", latent[None])
        for index, cache in enumerate(caches or ()):
            binding.read(f"cache_{index}", cache)
        for index, cache in enumerate(written):
            binding.write(f"new_cache_{index}", cache)
        binding.write("frame", frames)
        binding.run()
