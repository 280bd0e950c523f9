"""The student over ONNX Runtime: cached keys and values are read and written in the arena, by pointer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.geometry import StudentGeometry
from contract.tensors import new_names, past_names
from executors.arena_file import Range
from executors.base import CallError, PassCall
from executors.checks import check_block, check_pass
from executors.host_arena import HostArena, HostArenas
from executors.onnx_session import Binding, open_session

GRAPH = "student.onnx"


class OnnxStudent:
    """StudentExecutor on the CPU.

    Calls of a batch run one behind the other, so that a session's frames never depend on who shares its batch
    (docs/adr/0006-batches-one-by-one.md).
    """

    def __init__(self, folder: Path, geometry: StudentGeometry, *, probe_cell: int, arenas: HostArenas) -> None:
        if geometry.cache_dtype != "float32":
            raise ValueError(f"ONNX Runtime on the CPU caches float32, and the student wants {geometry.cache_dtype}")
        self._geometry = geometry
        self._arenas = arenas
        self._probe_cell = probe_cell
        self._session = open_session(folder / GRAPH)
        # New keys and values of passes that write none. All layers share one: nobody reads it.
        self._unused = np.empty((geometry.window_frames * geometry.tokens_per_frame, geometry.dim), np.float32)

    def run(self, calls: Sequence[PassCall]) -> list[NDArray[np.float32] | CallError]:
        return [self._guarded(call) for call in calls]

    def clear(self, arena: str, block: int) -> None:
        attached = self._arenas.attach(arena)
        check_block(attached.layout, block)
        attached.clear(block, 0, attached.layout.student_bytes)

    def probe(self, arena: str) -> None:
        self._arenas.attach(arena).file.probe(self._probe_cell)

    def _guarded(self, call: PassCall) -> NDArray[np.float32] | CallError:
        try:
            arena = self._arenas.attach(call.arena)
            check_pass(arena.layout, call)
            return self._run(arena, call)
        except CallError as error:
            return error

    def _run(self, arena: HostArena, call: PassCall) -> NDArray[np.float32]:
        if call.text_context is not None:
            arena.text(call.block)[:] = call.text_context
        if len(call.moves):
            arena.move(call.block, call.moves)
        flow = np.empty_like(call.latent)
        binding = Binding(self._session)
        binding.read("latent", call.latent[None])
        binding.read("timestep", call.timestep[None])
        binding.read("position", call.position[None])
        binding.read("past_position", call.past_position[None])
        binding.read("text_context", arena.text(call.block)[None])
        binding.write("flow", flow[None])
        for layer in range(self._geometry.num_layers):
            self._bind_layer(binding, arena, call, layer)
        binding.run()
        return flow

    def _bind_layer(self, binding: Binding, arena: HostArena, call: PassCall, layer: int) -> None:
        frames, past = len(call.latent), len(call.past_position)
        keys = arena.keys(call.block, layer, 0, past)
        values = arena.values(call.block, layer, 0, past)
        for name, read in zip(past_names(layer), (keys, values), strict=True):
            binding.read_pointer(name, np.float32, (1, *read.shape), read.pointer)
        if call.write_slot is None:
            new_keys = new_values = Range(self._unused.ctypes.data, self._new_shape(frames))
        else:
            new_keys = arena.keys(call.block, layer, call.write_slot, frames)
            new_values = arena.values(call.block, layer, call.write_slot, frames)
        for name, written in zip(new_names(layer), (new_keys, new_values), strict=True):
            binding.write_pointer(name, np.float32, (1, *written.shape), written.pointer)

    def _new_shape(self, frames: int) -> tuple[int, int, int]:
        return (frames * self._geometry.tokens_per_frame, self._geometry.num_heads, self._geometry.head_dim)
