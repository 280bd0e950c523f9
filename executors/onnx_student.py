"""The student over ONNX Runtime: cached keys and values are read and written in the arena, by pointer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.geometry import StudentGeometry
from contract.tensors import new_names, past_names
from executors.base import CallError, PassCall
from executors.host_arena import HostArena, HostArenas, Range
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
        attached.check_block(block)
        layout = attached.layout
        attached.clear(block, 0, layout.block_bytes - 2 * layout.bank_bytes)

    def probe(self, arena: str) -> None:
        self._arenas.attach(arena).probe(self._probe_cell)

    def _guarded(self, call: PassCall) -> NDArray[np.float32] | CallError:
        try:
            arena = self._arenas.attach(call.arena)
            self._check(arena, call)
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
        keys = arena.past_keys(call.block, layer, past)
        values = arena.past_values(call.block, layer, past)
        for name, read in zip(past_names(layer), (keys, values), strict=True):
            binding.read_pointer(name, np.float32, (1, *read.shape), read.pointer)
        if call.write_slot is None:
            new_keys = new_values = Range(self._unused.ctypes.data, self._new_shape(frames))
        else:
            new_keys = arena.new_keys(call.block, layer, call.write_slot, frames)
            new_values = arena.new_values(call.block, layer, call.write_slot, frames)
        for name, written in zip(new_names(layer), (new_keys, new_values), strict=True):
            binding.write_pointer(name, np.float32, (1, *written.shape), written.pointer)

    def _new_shape(self, frames: int) -> tuple[int, int, int]:
        return (frames * self._geometry.tokens_per_frame, self._geometry.num_heads, self._geometry.head_dim)

    def _check(self, arena: HostArena, call: PassCall) -> None:
        geometry, frames, past = self._geometry, len(call.latent), len(call.past_position)
        arena.check_block(call.block)
        if not 1 <= frames <= geometry.window_frames:
            raise CallError(f"latent: {frames} frames are not in [1, {geometry.window_frames}]")
        for name, given in (("timestep", call.timestep), ("position", call.position)):
            if given.shape != (frames,):
                raise CallError(f"{name}: shape {list(given.shape)} does not fit a latent of {frames} frames")
        if past > geometry.window_frames:
            raise CallError(f"past_position: {past} frames, and the window holds {geometry.window_frames}")
        if call.moves.size and not (call.moves.min() >= 0 and call.moves.max() < geometry.window_frames):
            raise CallError(f"move: a slot is not in [0, {geometry.window_frames})")
        if call.write_slot is not None:
            # Written slots behind the attended ones: the pass never overwrites what it reads, so it can be repeated.
            last = geometry.window_frames - frames
            if not past <= call.write_slot <= last:
                raise CallError(f"write_slot: {call.write_slot} is not in [{past}, {last}]")
