"""The student over TensorRT: cached keys and values are read in the arena, new ones written there, by address.

An engine built for exact numbers of frames and cached frames (contract/engine_manifest.py) reads the slots [0, S) where
they lie and writes the new keys and values into their slots: nothing is gathered or copied. Every pass is a CUDA graph,
one for each session block, profile and written slot, on the executor's own stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.arena_layout import ArenaLayout
from contract.geometry import CONDITION_FRAMES, StudentGeometry
from contract.tensors import STUDENT, Manifest, new_names, past_names
from executors.arena_file import SHARED_MEMORY, Range
from executors.base import CallError, PassCall
from executors.checks import check_pass
from executors.cuda import CudaMemory, CudaStream
from executors.device_arena import DeviceArena, DeviceArenas, Part
from executors.tensorrt_engine import EngineFolder, Toolkit


class TensorrtStudent:
    """StudentExecutor. Calls of a batch run one behind the other: each attends a cache of its own, in place."""

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
        self._engine = EngineFolder(engines, repository, toolkit).open(STUDENT, self._stream)
        self._places = _Places(geometry, self._stream)
        self._arenas = DeviceArenas(
            geometry, Part.STUDENT, probe_cell=probe_cell, allocate=self._stream.allocate, folder=folder
        )

    def run(self, calls: Sequence[PassCall]) -> list[NDArray[np.float32] | CallError]:
        return [self._guarded(call) for call in calls]

    def clear(self, arena: str, block: int) -> None:
        self._arenas.attach(arena).clear(block)
        self._stream.wait()

    def probe(self, arena: str) -> None:
        self._arenas.probe(arena)

    def _guarded(self, call: PassCall) -> NDArray[np.float32] | CallError:
        try:
            arena = self._arenas.attach(call.arena)
            check_pass(arena.layout, call)
            return self._run(arena, call)
        except CallError as error:
            return error

    def _run(self, arena: DeviceArena[CudaMemory], call: PassCall) -> NDArray[np.float32]:
        stream, places, block, write_slot = self._stream, self._places, call.block, call.write_slot
        frames, past = len(call.latent), len(call.past_position)
        profile = self._engine.profile(B=1, F=frames, S=past)
        if frames > places.frames:
            raise CallError(f"latent: {frames} frames, and a pass has {places.frames} at most")
        if call.text_context is not None:
            stream.upload(arena.text(block).pointer, call.text_context)
        if len(call.moves):
            arena.move(block, call.moves)
        for name, array in (
            ("latent", call.latent),
            ("timestep", call.timestep),
            ("position", call.position),
            ("past_position", call.past_position),
        ):
            stream.upload(places.pointers[name], array)
        inputs = places.inputs(frames, past) | {"text_context": _batched(arena.text(block))}
        outputs = {"flow": Range(places.pointers["flow"], (1, *call.latent.shape))}
        for layer in range(self._geometry.num_layers):
            past_kv = (arena.keys(block, layer, 0, past), arena.values(block, layer, 0, past))
            inputs |= {name: _batched(r) for name, r in zip(past_names(layer), past_kv, strict=True)}
            if write_slot is None:
                new_kv = places.unused(layer, frames)
            else:
                new_kv = (arena.keys(block, layer, write_slot, frames), arena.values(block, layer, write_slot, frames))
            outputs |= {name: _batched(r) for name, r in zip(new_names(layer), new_kv, strict=True)}
        key = (block, profile, write_slot)
        stream.play(arena.recorded, key, profile, lambda: self._engine.enqueue(profile, inputs, outputs))
        flow = np.empty(call.latent.shape, np.float32)
        stream.download(flow, places.pointers["flow"])
        stream.wait()
        return flow


class _Places:
    """Device memory beside the arena: what changes from pass to pass, and where unwanted keys and values go.

    A pass that writes none needs a place for those of every layer: TensorRT may deliver an output late, when the next
    layer has already written its own.
    """

    def __init__(self, geometry: StudentGeometry, stream: CudaStream) -> None:
        self._geometry = geometry
        self.frames = max(CONDITION_FRAMES, geometry.chunk_frames)
        latent = 4 * self.frames * int(np.prod(geometry.latent_shape))
        sizes = {
            "latent": latent,
            "flow": latent,
            "timestep": 4 * self.frames,
            "position": 8 * self.frames,
            "past_position": 8 * geometry.window_frames,
        }
        self._memories = {name: stream.allocate(size) for name, size in sizes.items()}
        self.pointers = {name: memory.pointer for name, memory in self._memories.items()}
        self._slot_bytes = ArenaLayout(geometry=geometry, blocks=1).slot_bytes
        self._unused = stream.allocate(2 * geometry.num_layers * self.frames * self._slot_bytes)

    def inputs(self, frames: int, past: int) -> dict[str, Range]:
        """The small ones."""
        shapes = {
            "latent": (1, frames, *self._geometry.latent_shape),
            "timestep": (1, frames),
            "position": (1, frames),
            "past_position": (1, past),
        }
        return {name: Range(self.pointers[name], shape) for name, shape in shapes.items()}

    def unused(self, layer: int, frames: int) -> tuple[Range, Range]:
        geometry, size = self._geometry, self.frames * self._slot_bytes
        shape = (frames * geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
        first = self._unused.pointer + 2 * layer * size
        return Range(first, shape), Range(first + size, shape)


def _batched(range_: Range) -> Range:
    return Range(range_.pointer, (1, *range_.shape))
