"""The streaming VAE decoder over ONNX Runtime: one graph for a segment's first latent, one for every next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.arena_layout import DECODER_BANKS
from contract.geometry import StudentGeometry
from executors.base import CallError, DecodeCall
from executors.host_arena import HostArena, HostArenas
from executors.onnx_session import Binding, open_session

FIRST_GRAPH = "first.onnx"
NEXT_GRAPH = "next.onnx"

Caches = Sequence[NDArray[np.float32]]


class OnnxDecoder:
    """DecoderExecutor on the CPU."""

    def __init__(self, folder: Path, geometry: StudentGeometry, *, probe_cell: int, arenas: HostArenas) -> None:
        self._geometry = geometry
        self._arenas = arenas
        self._probe_cell = probe_cell
        self._first = open_session(folder / FIRST_GRAPH)
        self._next = open_session(folder / NEXT_GRAPH)
        self._between = [[np.empty(shape, np.float32) for shape in geometry.decoder_cache_shapes] for _ in range(2)]

    def run(self, call: DecodeCall) -> NDArray[np.uint8]:
        arena = self._arenas.attach(call.arena)
        self._check(arena, call)
        geometry, restart = self._geometry, call.read_bank is None
        count = 1 + (len(call.latent) - 1) * geometry.vae_temporal_stride
        count = count if restart else len(call.latent) * geometry.vae_temporal_stride
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
        attached.check_block(block)
        layout = attached.layout
        attached.clear(block, layout.block_bytes - DECODER_BANKS * layout.bank_bytes, layout.block_bytes)

    def probe(self, arena: str) -> None:
        self._arenas.attach(arena).probe(self._probe_cell)

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

    def _check(self, arena: HostArena, call: DecodeCall) -> None:
        arena.check_block(call.block)
        if not len(call.latent):
            raise CallError("latent: no frames")
        for name, bank in (("read_bank", call.read_bank), ("write_bank", call.write_bank)):
            if bank is not None and not 0 <= bank < DECODER_BANKS:
                raise CallError(f"{name}: {bank} is not in [0, {DECODER_BANKS})")
        if call.read_bank == call.write_bank:
            raise CallError(f"write_bank: {call.write_bank} is the bank that is read")
