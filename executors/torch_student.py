"""The student in PyTorch: keys and values are read and written in the device arena, in place.

On a GPU the blocks are compiled and every pass is a CUDA graph, one for each session block, number of cached frames and
written slot; attention is PyTorch's scaled_dot_product_attention, which there is FlashAttention. On a CPU it runs
eagerly: the same code, for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.geometry import CONDITION_FRAMES, StudentGeometry
from executors.arena_file import SHARED_MEMORY, Range
from executors.base import CallError, PassCall
from executors.checks import check_pass
from executors.device_arena import DeviceArena, DeviceArenas, Part
from executors.torch_lane import Lane
from executors.torch_memory import TorchMemory
from student.dit import CausalDiT, Prompt

_RECOMPILE_LIMIT = 64

Slots = list[Tensor]
"""For each layer [1, n*N, H, D]."""


class TorchStudent:
    """StudentExecutor. Calls of a batch run one behind the other: each attends a cache of its own, in place."""

    def __init__(
        self, network: CausalDiT, geometry: StudentGeometry, *, probe_cell: int, folder: Path = SHARED_MEMORY
    ) -> None:
        """
        Args:
            network: on its device, in the type it shall compute in; compiled here if that is a GPU.
        """
        self._network = network.requires_grad_(False)
        self._geometry = geometry
        self._dtype: torch.dtype = getattr(torch, geometry.cache_dtype)
        device = network.patch_embedding.weight.device
        self._lane = Lane(device)
        self._inputs = _Inputs(geometry, device)
        self._arenas = DeviceArenas(
            geometry,
            Part.STUDENT,
            probe_cell=probe_cell,
            allocate=lambda size: TorchMemory(size, device),
            folder=folder,
        )
        if device.type == "cuda":
            compile_blocks(network)
        self._warm_up()

    def run(self, calls: Sequence[PassCall]) -> list[NDArray[np.float32] | CallError]:
        return [self._guarded(call) for call in calls]

    def clear(self, arena: str, block: int) -> None:
        with self._lane.entered():
            attached = self._arenas.attach(arena)
            attached.clear(block)
            for kept in self._prompt(attached, block):
                for tensor in kept:
                    tensor.zero_()

    def probe(self, arena: str) -> None:
        with self._lane.entered():
            self._arenas.probe(arena)

    def _warm_up(self) -> None:
        """Every kind of pass once: compilers and libraries take their time at the first, and no caller waits here."""
        geometry, device, dtype = self._geometry, self._lane.device, self._dtype
        chunk, layers = geometry.chunk_frames, range(geometry.num_layers)
        with self._lane.entered():
            made = self._network.prompt(torch.zeros(1, geometry.text_tokens, geometry.text_dim, device=device))
            # No views, like what sessions keep: the compiler tells them apart.
            prompt = tuple((keys.clone(), values.clone()) for keys, values in made)
            for frames, past in ((CONDITION_FRAMES, 0), (1, 1), *((chunk, S) for S in geometry.attended_lengths()[:2])):
                shape = (1, past * geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
                # Two tensors: the compiler would see that it is one, and make code for that.
                keys, values = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
                latent = torch.zeros(1, frames, *geometry.latent_shape, device=device)
                position = torch.arange(past + frames, device=device)[None]
                timestep = torch.zeros(1, frames, device=device)
                slots = [keys for _ in layers], [values for _ in layers]
                self._network(latent, timestep, prompt, position[:, past:], position[:, :past], *slots)

    def _guarded(self, call: PassCall) -> NDArray[np.float32] | CallError:
        try:
            with self._lane.entered():
                arena = self._arenas.attach(call.arena)
                check_pass(arena.layout, call)
                return self._run(arena, call)
        except CallError as error:
            return error

    def _run(self, arena: DeviceArena[TorchMemory], call: PassCall) -> NDArray[np.float32]:
        lane, inputs, frames, past = self._lane, self._inputs, len(call.latent), len(call.past_position)
        prompt = self._prompt(arena, call.block)
        if call.text_context is not None:
            self._keep_prompt(prompt, call.text_context)
        if len(call.moves):
            arena.move(call.block, call.moves)
        for target, array in (
            (inputs.latent(frames), call.latent),
            (inputs.timestep(frames), call.timestep),
            (inputs.position(frames), call.position),
            (inputs.past_position(past), call.past_position),
        ):
            lane.fill(target[0], array)
        key = (call.block, frames, past, call.write_slot)
        shape = (frames, past, call.write_slot is None)
        lane.play(arena.recorded, key, shape, lambda: self._pass(arena, prompt, call, frames, past))
        flow: NDArray[np.float32] = lane.fetch(inputs.flow(frames)[0]).astype(np.float32, copy=False)
        return flow

    def _pass(self, arena: DeviceArena[TorchMemory], prompt: Prompt, call: PassCall, frames: int, past: int) -> None:
        """From the inputs' memory to the flow's and the slots': what a graph captures."""
        inputs = self._inputs
        keys, values = self._slots(arena, call.block, 0, past)
        flow, new_keys, new_values = self._network(
            inputs.latent(frames),
            inputs.timestep(frames),
            prompt,
            inputs.position(frames),
            inputs.past_position(past),
            keys,
            values,
        )
        inputs.flow(frames).copy_(flow)
        if call.write_slot is not None:
            to_keys, to_values = self._slots(arena, call.block, call.write_slot, frames)
            for target, new in zip((*to_keys, *to_values), (*new_keys, *new_values), strict=True):
                target.copy_(new)

    def _prompt(self, arena: DeviceArena[TorchMemory], block: int) -> Prompt:
        """Where a block's prompt keys and values lie: like its slots, zero at first, and as long as its arena."""
        if ("prompt", block) not in arena.recorded:
            geometry, network = self._geometry, self._network
            shape = (1, geometry.text_tokens, geometry.num_heads, geometry.head_dim)
            made = [
                torch.zeros(shape, dtype=network.dtype, device=self._lane.device)
                for _ in range(2 * len(network.blocks))
            ]
            arena.recorded["prompt", block] = tuple(zip(made[::2], made[1::2], strict=True))
        return cast(Prompt, arena.recorded["prompt", block])

    def _keep_prompt(self, prompt: Prompt, text_context: NDArray[np.float32]) -> None:
        """A prompt's keys and values are computed once, in the pass that brings it."""
        text = torch.from_numpy(np.ascontiguousarray(text_context))[None].to(self._lane.device)
        for kept, new in zip(prompt, self._network.prompt(text), strict=True):
            for target, tensor in zip(kept, new, strict=True):
                target.copy_(tensor)

    def _slots(self, arena: DeviceArena[TorchMemory], block: int, first: int, count: int) -> tuple[Slots, Slots]:
        def view(place: Range) -> Tensor:
            return arena.memory.view(replace(place, shape=(1, *place.shape)), self._dtype)

        layers = range(self._geometry.num_layers)
        keys = [view(arena.keys(block, layer, first, count)) for layer in layers]
        values = [view(arena.values(block, layer, first, count)) for layer in layers]
        return keys, values


class _Inputs:
    """What changes from pass to pass, at addresses that do not: a graph reads and writes them. One for each size."""

    def __init__(self, geometry: StudentGeometry, device: torch.device) -> None:
        def empty(dtype: torch.dtype, *rest: int) -> Callable[[int], Tensor]:
            return cache(lambda count: torch.empty((1, count, *rest), dtype=dtype, device=device))

        self.latent = empty(torch.float32, *geometry.latent_shape)
        self.flow = empty(torch.float32, *geometry.latent_shape)
        self.timestep = empty(torch.float32)
        self.position = empty(torch.int64)
        self.past_position = empty(torch.int64)


def compile_blocks(network: CausalDiT, *, backend: str | Callable[..., object] = "inductor") -> None:
    """Compile the layers, which share one code, and not the network around them: seconds instead of minutes.

    A second number of cached frames makes the compiler treat it as a variable, so that a window that fills does not
    compile anew with every chunk.
    """
    # Behind its limit the compiler would go on without compiling, and say nothing.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _RECOMPILE_LIMIT)
    network.compiled = True
    for block in network.blocks:
        block.compile(fullgraph=True, backend=backend)
