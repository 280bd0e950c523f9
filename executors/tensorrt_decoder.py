"""The streaming VAE decoder over TensorRT, on a stream of its own: a chunk decodes while the next one is denoised."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.arena_layout import ArenaLayout
from contract.tensors import VAE_DECODER, Manifest
from executors.arena_file import SHARED_MEMORY, Range
from executors.base import DecodeCall
from executors.checks import check_decode, decoded_frames
from executors.cuda import CudaMemory, CudaStream
from executors.device_arena import DeviceArena, DeviceArenas, Part
from executors.tensorrt_engine import EngineFolder, Toolkit

Caches = Sequence[Range]


class TensorrtDecoder:
    """DecoderExecutor. A whole chunk is one CUDA graph, for each session block and pair of banks."""

    def __init__(
        self,
        engines: Path,
        repository: Manifest,
        *,
        probe_cell: int,
        folder: Path = SHARED_MEMORY,
        toolkit: Toolkit | None = None,
    ) -> None:
        """
        Args:
            engines: folder of engines and their manifest.
            repository: what they were built from.

        Raises:
            EngineError: the engines do not belong to this machine or this repository.
        """
        toolkit = toolkit or Toolkit.installed()
        self._geometry = geometry = repository.geometry
        self._stream = CudaStream(toolkit.cuda)
        verified = EngineFolder(engines, repository, toolkit)
        self._first = verified.open(f"{VAE_DECODER}.first", self._stream)
        self._next = verified.open(f"{VAE_DECODER}.next", self._stream)
        self._arenas = DeviceArenas(
            geometry, Part.DECODER, probe_cell=probe_cell, allocate=self._stream.allocate, folder=folder
        )
        layout = ArenaLayout(geometry=geometry, blocks=1)
        self._between = self._stream.allocate(layout.bank_bytes)
        starts = layout.decoder_cache_offsets(0, 0)
        self._between_caches = [
            Range(self._between.pointer + start - starts[0], shape)
            for start, shape in zip(starts, geometry.decoder_cache_shapes, strict=True)
        ]
        # One latent and its frames each: their addresses are in the graphs.
        self._latents: list[CudaMemory] = []
        self._frames: list[CudaMemory] = []

    def run(self, call: DecodeCall) -> NDArray[np.uint8]:
        arena, stream, geometry = self._arenas.attach(call.arena), self._stream, self._geometry
        check_decode(arena.layout, call)
        count, stride = len(call.latent), geometry.vae_temporal_stride
        picture = (geometry.frame_height, geometry.frame_width, 3)
        while len(self._latents) < count:
            self._latents.append(stream.allocate(call.latent[0].nbytes))
        while len(self._frames) < count:  # apart: where the device had no room for these, the latents are there
            self._frames.append(stream.allocate(stride * int(np.prod(picture))))
        for memory, latent in zip(self._latents, call.latent, strict=False):
            stream.upload(memory.pointer, latent)
        key = (call.block, count, call.read_bank, call.write_bank)
        shape = (count, call.read_bank is None)
        stream.play(arena.recorded, key, shape, lambda: self._decode(arena, call))
        frames = np.empty((decoded_frames(geometry, call), *picture), np.uint8)
        ends = range(len(frames) - (count - 1) * stride, len(frames) + 1, stride)
        for memory, (begin, end) in zip(self._frames, pairwise([0, *ends]), strict=False):
            stream.download(frames[begin:end], memory.pointer)
        stream.wait()
        return frames

    def clear(self, arena: str, block: int) -> None:
        self._arenas.attach(arena).clear(block)
        self._stream.wait()

    def probe(self, arena: str) -> None:
        self._arenas.probe(arena)

    def _decode(self, arena: DeviceArena[CudaMemory], call: DecodeCall) -> None:
        caches = None if call.read_bank is None else arena.decoder_caches(call.block, call.read_bank)
        written = arena.decoder_caches(call.block, call.write_bank)
        for index in range(len(call.latent)):
            # To and fro, so that the last latent's caches come to lie in the bank: one bank more is enough.
            target = written if (len(call.latent) - index) % 2 else self._between_caches
            self._decode_one(index, caches, target)
            caches = target

    def _decode_one(self, index: int, caches: Caches | None, target: Caches) -> None:
        geometry = self._geometry
        engine, made = (self._first, 1) if caches is None else (self._next, geometry.vae_temporal_stride)
        picture = (geometry.frame_height, geometry.frame_width, 3)
        inputs = {"latent": Range(self._latents[index].pointer, (1, *geometry.latent_shape))}
        inputs |= {f"cache_{number}": cache for number, cache in enumerate(caches or ())}
        outputs = {"frame": Range(self._frames[index].pointer, (made, *picture))}
        outputs |= {f"new_cache_{number}": cache for number, cache in enumerate(target)}
        engine.enqueue(engine.profile(), inputs, outputs)
