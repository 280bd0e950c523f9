"""The streaming VAE decoder in PyTorch, on a stream of its own: a chunk decodes while the next one is denoised.

On a GPU it is compiled, which takes the better part of a minute and more than halves its time: most of what runs
between the convolutions moves memory about, and the compiler melts it together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contract.geometry import StudentGeometry
from executors.arena_file import SHARED_MEMORY
from executors.base import DecodeCall
from executors.checks import check_decode, decoded_frames
from executors.device_arena import DeviceArena, DeviceArenas, Part
from executors.torch_lane import Lane, try_convolutions
from executors.torch_memory import TorchMemory
from student.vae import StreamingVae

Decode = Callable[[Tensor, tuple[Tensor, ...] | None], tuple[Tensor, tuple[Tensor, ...]]]
"""`StreamingVae.decode`, as it is or compiled."""


class TorchDecoder:
    """DecoderExecutor. On a GPU a whole chunk is one CUDA graph, for each session block and pair of banks."""

    def __init__(
        self, vae: StreamingVae, geometry: StudentGeometry, *, probe_cell: int, folder: Path = SHARED_MEMORY
    ) -> None:
        """
        Args:
            vae: on its device, in the type it shall compute in; its convolutions become channels-last on a GPU.
        """
        self._geometry = geometry
        self._dtype: torch.dtype = getattr(torch, geometry.cache_dtype)
        device = vae.mean.device
        vae.requires_grad_(False)
        self._lane = Lane(device)
        self._decode_latent: Decode = vae.decode
        if device.type == "cuda":
            channels_last(vae)
            try_convolutions()  # few shapes, all of them run before they are captured
            self._decode_latent = compiled(vae)
        frame = (geometry.frame_height, geometry.frame_width, 3)
        self._latent = cache(lambda count: torch.empty((count, *geometry.latent_shape), device=device))
        self._frames = cache(lambda count: torch.empty((count, *frame), dtype=torch.uint8, device=device))
        self._arenas = DeviceArenas(
            geometry,
            Part.DECODER,
            probe_cell=probe_cell,
            allocate=lambda size: TorchMemory(size, device),
            folder=folder,
        )
        if device.type == "cuda":
            self._warm_up()

    def run(self, call: DecodeCall) -> NDArray[np.uint8]:
        with self._lane.entered():
            arena = self._arenas.attach(call.arena)
            check_decode(arena.layout, call)
            latents = len(call.latent)
            self._lane.fill(self._latent(latents), call.latent)
            frames = self._frames(decoded_frames(self._geometry, call))
            key = (call.block, latents, call.read_bank, call.write_bank)
            shape = (latents, call.read_bank is None)
            self._lane.play(arena.recorded, key, shape, lambda: self._decode(arena, call, frames))
            return self._lane.fetch(frames).astype(np.uint8, copy=False)

    def clear(self, arena: str, block: int) -> None:
        with self._lane.entered():
            self._arenas.attach(arena).clear(block)

    def probe(self, arena: str) -> None:
        with self._lane.entered():
            self._arenas.probe(arena)

    def _warm_up(self) -> None:
        """A stream's first and second latent once: compiling takes its time, and no caller waits here."""
        geometry, device = self._geometry, self._lane.device
        with self._lane.entered():
            latent = torch.zeros(1, *geometry.latent_shape, device=device)
            self._decode_latent(latent, None)
            caches = [torch.zeros(shape, dtype=self._dtype, device=device) for shape in geometry.decoder_cache_shapes]
            self._decode_latent(latent, tuple(caches))

    def _decode(self, arena: DeviceArena[TorchMemory], call: DecodeCall, frames: Tensor) -> None:
        """From the latents' memory to the frames' and the written bank: what a graph captures."""
        caches = None if call.read_bank is None else self._bank(arena, call.block, call.read_bank)
        written = self._bank(arena, call.block, call.write_bank)
        done = 0
        for latent in self._latent(len(call.latent)):
            shown, new_caches = self._decode_latent(latent[None], caches)
            frames[done : done + len(shown)].copy_(shown)
            done += len(shown)
            # Each latent's, and not the last one's alone: what is read then always lies in one way, as compiled for.
            for target, new in zip(written, new_caches, strict=True):
                target.copy_(new)
            caches = written
        assert done == len(frames)

    def _bank(self, arena: DeviceArena[TorchMemory], block: int, bank: int) -> tuple[Tensor, ...]:
        return tuple(arena.memory.view(place, self._dtype) for place in arena.decoder_caches(block, bank))


def compiled(vae: StreamingVae, *, backend: str | Callable[..., object] = "inductor") -> Decode:
    """`vae.decode` as two graphs: for a stream's first latent, and for all that follow."""
    decode: Decode = torch.compile(vae.decode, fullgraph=True, dynamic=False, backend=backend)
    return decode


def channels_last(vae: StreamingVae) -> StreamingVae:
    """Lay the convolutions' weights out channels last, as tensor cores want them; results do not change."""
    for layer in vae.modules():
        if isinstance(layer, nn.Conv3d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    return vae
