"""A subject's networks on the device, made when a row first wants them, and what their work costs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from benchmarks.gpu_backbone import Backbone, pass_cost
from benchmarks.gpu_cost import Cost, counted
from benchmarks.gpu_subject import Subject, random_backbone
from contract.geometry import StudentGeometry

if TYPE_CHECKING:
    from executors.torch_decoder import Decode
    from student.dit import CausalDiT
    from student.text import TextEncoder
    from student.vae import StreamingVae


class Networks:
    """Random weights of a subject; costs are counted on shapes alone.

    Args:
        optimised: channels-last and compiled, which only a GPU gains by.
    """

    def __init__(self, subject: Subject, device: torch.device, *, optimised: bool) -> None:
        self._subject, self._device, self._optimised = subject, device, optimised
        self._made: tuple[tuple[str, int], Backbone] | None = None
        self._meta_vaes: dict[str, StreamingVae] = {}

    def geometry(self, size: str) -> StudentGeometry:
        return self._subject.geometries[size]

    @cached_property
    def network(self) -> CausalDiT:
        geometry = next(iter(self._subject.geometries.values()))
        return random_backbone(geometry, self._device, self._subject.dtype)

    @cached_property
    def vae(self) -> StreamingVae:
        from executors.torch_decoder import channels_last

        geometry = next(iter(self._subject.geometries.values()))
        sizes = self._subject.sizes(geometry)
        vae = sizes.build(device=self._device, dtype=self._subject.dtype, parts={"vae"}).vae
        return channels_last(vae) if self._optimised else vae

    @cached_property
    def decode(self) -> Decode:
        from executors.torch_decoder import compiled

        return compiled(self.vae) if self._optimised else self.vae.decode

    @cached_property
    def text(self) -> TextEncoder:
        sizes = self._subject.sizes(next(iter(self._subject.geometries.values())))
        return sizes.build(device=self._device, dtype=self._subject.dtype, parts={"text_encoder"}).text_encoder

    def backbone(self, size: str, batch: int) -> Backbone:
        """The one of this size and batch; another's slots are let go first."""
        if self._made is None or self._made[0] != (size, batch):
            self.let_go()
            made = Backbone(self.network, self.geometry(size), self._subject.schedule, batch=batch)
            self._made = ((size, batch), made)
        return self._made[1]

    def let_go(self) -> None:
        """Free the last backbone's slots."""
        self._made = None

    def decoder_inputs(self, size: str) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """A latent [1, C, h, w] and caches."""
        geometry = self._subject.sizes(self.geometry(size)).geometry
        shapes, dtype = geometry.decoder_cache_shapes, self._subject.dtype
        caches = tuple(torch.randn(shape, device=self._device, dtype=dtype) for shape in shapes)
        return torch.randn(1, *geometry.latent_shape, device=self._device), caches

    def picture(self, size: str) -> torch.Tensor:
        """A frame [1, H, W, 3] of noise, uint8."""
        geometry = self.geometry(size)
        shape = (1, geometry.frame_height, geometry.frame_width, 3)
        return torch.randint(0, 256, shape, dtype=torch.uint8, device=self._device)

    # What it costs

    def pass_cost(self, size: str, batch: int, frames: int, cached: int) -> Cost:
        item = self._subject.dtype.itemsize
        return pass_cost(self.geometry(size), batch=batch, frames=frames, cached=cached, item_bytes=item)

    def attention_cost(self, size: str) -> Cost:
        """One layer's, of a chunk at a full window."""
        geometry = self.geometry(size)
        flop = 4.0 * geometry.chunk_frames * geometry.window_frames * geometry.tokens_per_frame**2 * geometry.dim
        return Cost(linear_flop=0, other_flop=flop)

    def decode_cost(self, size: str) -> Cost | None:
        """One latent's; None if the VAE's classes are not installed."""
        meta = self._meta_vae(size)
        if meta is None:
            return None
        geometry = self._subject.sizes(self.geometry(size)).geometry
        latent = torch.empty(1, *geometry.latent_shape, device="meta")
        caches = [torch.empty(shape, device="meta") for shape in geometry.decoder_cache_shapes]
        return counted(lambda: meta.decode(latent, caches))

    def encode_cost(self, size: str) -> Cost | None:
        """One picture's; None if the VAE's classes are not installed."""
        meta, geometry = self._meta_vae(size), self.geometry(size)
        if meta is None:
            return None
        shape = (1, geometry.frame_height, geometry.frame_width, 3)
        frame = torch.empty(shape, dtype=torch.uint8, device="meta")
        return counted(lambda: meta.encode_image(frame))

    def _meta_vae(self, size: str) -> StreamingVae | None:
        if size not in self._meta_vaes:
            try:
                sizes = self._subject.sizes(self.geometry(size))
            except ImportError:
                return None  # the row itself says so
            self._meta_vaes[size] = sizes.meta().vae.to("meta")
        return self._meta_vaes[size]
