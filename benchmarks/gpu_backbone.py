"""Passes and chunks of the backbone over slots that lie still, as the executors run them, for a batch of sessions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from benchmarks.gpu_cost import Cost, counted
from benchmarks.gpu_subject import random_backbone
from contract.geometry import CONDITION_FRAMES, StudentGeometry
from contract.schedule import DenoisingSchedule
from student.dit import CausalDiT


class Backbone:
    """B sessions in step. Slots, latents and noise are random: zeros would let a GPU run cooler and faster."""

    def __init__(
        self, network: CausalDiT, geometry: StudentGeometry, schedule: DenoisingSchedule, *, batch: int
    ) -> None:
        device = network.patch_embedding.weight.device
        self.network, self.geometry, self.schedule, self.batch = network, geometry, schedule, batch
        self.device = device
        tokens = geometry.window_frames * geometry.tokens_per_frame
        slots = (batch, tokens, geometry.num_heads, geometry.head_dim)

        def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.randn(shape, device=device, dtype=dtype)

        self.keys = [normal(*slots, dtype=network.dtype) for _ in range(geometry.num_layers)]
        self.values = [normal(*slots, dtype=network.dtype) for _ in range(geometry.num_layers)]
        self.text = normal(batch, geometry.text_tokens, geometry.text_dim)
        frames = max(CONDITION_FRAMES, geometry.chunk_frames)
        self.latent = normal(batch, frames, *geometry.latent_shape)
        self.noise = normal(len(schedule.steps), batch, geometry.chunk_frames, *geometry.latent_shape)
        self.clean = normal(batch, geometry.chunk_frames, *geometry.latent_shape)
        self._positions = torch.arange(geometry.window_frames, device=device).repeat(batch, 1)
        self._timesteps = {
            step.timestep: torch.full((batch, frames), float(step.timestep), device=device)
            for step in schedule.passes()
        }
        with torch.no_grad():
            self.prompt = network.prompt(self.text)

    @property
    def full(self) -> int:
        """Cached frames of a full window."""
        return self.geometry.max_attended_frames

    def one_pass(
        self, latent: Tensor, cached: int, *, timestep: int, write: bool = False, prompt_cached: bool = True
    ) -> Tensor:
        """The flow of [B, F, C, h, w] that attends `cached` frames; with `write` the new slots follow those."""
        frames, tokens = latent.shape[1], self.geometry.tokens_per_frame
        flow, new_keys, new_values = self.network(
            latent,
            self._timesteps[timestep][:, :frames],
            self.prompt if prompt_cached else self.text,
            self._positions[:, cached : cached + frames],
            self._positions[:, :cached],
            [keys[:, : cached * tokens] for keys in self.keys],
            [values[:, : cached * tokens] for values in self.values],
        )
        if write:
            span = slice(cached * tokens, (cached + frames) * tokens)
            for slots, new in zip((*self.keys, *self.values), (*new_keys, *new_values), strict=True):
                slots[:, span] = new
        assert isinstance(flow, Tensor)
        return flow

    def prefill(self) -> Tensor:
        """Reference and garment together."""
        return self.one_pass(self.latent[:, :CONDITION_FRAMES], 0, timestep=0, write=True)

    def denoise(self, cached: int) -> Tensor:
        """The first of a chunk's passes; the others cost the same."""
        return self.one_pass(self.chunk_latent, cached, timestep=self.schedule.passes()[0].timestep)

    def clean_pass(self, cached: int) -> Tensor:
        return self.one_pass(self.clean, cached, timestep=0, write=True)

    @property
    def chunk_latent(self) -> Tensor:
        return self.latent[:, : self.geometry.chunk_frames]

    def chunk(self, cached: int | None = None, *, left_out: int = 0) -> Tensor:
        """A whole chunk over so many cached frames, or a full window: staging moved, denoising passes, clean pass.

        Leaves it in `clean`.

        Args:
            left_out: denoising passes that it goes without.
        """
        cached = self.full if cached is None else cached
        if cached == self.full:
            self._settle()
        self.denoise_chunk(cached, left_out=left_out)
        self.clean_pass(cached)
        return self.clean

    def denoise_chunk(self, cached: int, *, left_out: int = 0) -> Tensor:
        """The denoising passes, with the arithmetic between them."""
        clean = torch.zeros_like(self.clean)
        for step in self.schedule.denoising_passes(left_out=left_out):
            x = step.keep * clean + step.noise_scale * self.noise[step.index]
            clean = x - step.sigma * self.one_pass(x, cached, timestep=step.timestep)
        self.clean.copy_(clean)
        return self.clean

    def _settle(self) -> None:
        tokens, count = self.geometry.tokens_per_frame, self.geometry.chunk_frames
        oldest = CONDITION_FRAMES + self.geometry.sink_frames
        for slots in (*self.keys, *self.values):
            slots[:, oldest * tokens : (oldest + count) * tokens] = slots[
                :, self.full * tokens : (self.full + count) * tokens
            ]


@cache
def pass_cost(geometry: StudentGeometry, *, batch: int, frames: int, cached: int, item_bytes: int) -> Cost:
    """A pass's operations, the prompt's keys and values being there, and the bytes of weights and slots it reads.

    Counted with one layer and with two, from which all follow: thirty would take a second of a lent GPU's time a row.
    """
    one, two = (_shallow_cost(geometry, layers, batch, frames, cached, item_bytes) for layers in (1, 2))
    more = geometry.num_layers - 1
    return one * (1 - more) + two * more


def _shallow_cost(
    geometry: StudentGeometry, layers: int, batch: int, frames: int, cached: int, item_bytes: int
) -> Cost:
    shallow = replace(geometry, num_layers=layers)
    network = random_backbone(shallow, torch.device("meta"), torch.bfloat16)
    backbone = Backbone(network, shallow, DenoisingSchedule(), batch=batch)
    latent = torch.empty(batch, frames, *shallow.latent_shape, device="meta")
    cost = counted(lambda: backbone.one_pass(latent, cached, timestep=0))
    weights = item_bytes * sum(parameter.numel() for parameter in network.blocks.parameters())
    return replace(cost, bytes=weights + batch * cached * shallow.kv_slot_bytes)
