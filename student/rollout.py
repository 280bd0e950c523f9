"""How a stream is sampled: conditions, chunks and garment switches. The readable reference for the service.

`LatentStream` walks the cache plan with the network; `VideoStream` adds pictures: it encodes conditions and decodes
chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from contract.cache_plan import (
    CacheState,
    ChunkPlan,
    PassPlan,
    Policy,
    PositionMode,
    PrefillPlan,
    Role,
    plan_chunk,
    plan_start,
    plan_switch,
)
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule, Pass, noise_counter
from student.dit import CausalDiT
from student.kv_cache import KvCache
from student.vae import StreamingVae

Noise = Callable[[int, int, int, tuple[int, ...]], Tensor]
"""(segment, chunk, pass index, shape) -> standard normal float32."""
FlowObserver = Callable[[Pass, Tensor], None]


def philox_noise(seed: int) -> Noise:
    """The session's noise: any chunk's can be drawn again on any machine (model.md section 3)."""

    def draw(segment: int, chunk: int, pass_index: int, shape: tuple[int, ...]) -> Tensor:
        at = noise_counter(seed=seed, segment=segment, chunk=chunk, pass_index=pass_index)
        stream = np.random.Philox(key=np.array(at.key, np.uint64), counter=np.array(at.counter, np.uint64))
        return torch.from_numpy(np.random.Generator(stream).standard_normal(shape, dtype=np.float32))

    return draw


class LatentStream:
    """A batch of streams in step with each other, over one network and one cache.

    A chunk is `plan_chunk(stream.state)`, then `denoise` for each denoising pass, then `commit`; `chunk` does that.
    Gradients: condition and clean passes run without; `denoise` with, where the caller enables them.

    Args:
        left_out: denoising passes that `chunk` goes without, but for the first chunk of a segment.
    """

    def __init__(
        self,
        network: CausalDiT,
        geometry: StudentGeometry,
        *,
        noise: Noise,
        schedule: DenoisingSchedule | None = None,
        position_mode: PositionMode = PositionMode.RELATIVE,
        batch: int = 1,
        left_out: int = 0,
    ) -> None:
        self._network = network
        self._geometry = geometry
        self._noise = noise
        self._schedule = schedule or DenoisingSchedule()
        self._left_out = left_out
        self._batch = batch
        self._device = network.patch_embedding.weight.device
        self.cache = KvCache(geometry, batch=batch, dtype=network.dtype, device=self._device)
        self.state = CacheState(geometry=geometry, position_mode=position_mode)
        self._text: Tensor | None = None

    def start(self, reference: Tensor, garment: Tensor, text_context: Tensor) -> Tensor:
        """Begin segment 0 from latents [B, C, h, w] and text [B, T, D_text]; returns the prefill's flow."""
        plan = plan_start(self._geometry, self.state.position_mode)
        return self.prefill(plan, {Role.REFERENCE: reference, Role.GARMENT: garment}, text_context)

    @torch.no_grad()
    def prefill(
        self, plan: PrefillPlan, conditions: Mapping[Role, Tensor], text_context: Tensor | None = None
    ) -> Tensor:
        """Begin the segment of `plan_switch(stream.state, policy)`: a pass at timestep 0 that fills condition slots.

        Args:
            plan: whose `conditions` say which latents pass.
            conditions: latents [B, C, h, w] by role; others than the plan's are ignored.
            text_context: [B, T, D_text]; None: the prompt stays.

        Returns:
            The pass's flow [B, 1 or 2, C, h, w], of no use but for comparisons.
        """
        if text_context is not None:
            self._text = text_context
        latent = torch.stack([conditions[role] for role in plan.conditions], dim=1)
        flow = self._pass(plan.condition_pass, latent, timestep=0)
        self.state = plan.after
        return flow

    def chunk(self, observe: FlowObserver | None = None) -> Tensor:
        """Sample and commit the next chunk: clean latents [B, F, C, h, w].

        Raises:
            ValueError: before `start`; with absolute positions, past the end of the RoPE table.
        """
        plan = plan_chunk(self.state)
        clean: Tensor | None = None
        left_out = self._left_out if plan.chunk else 0  # as the service does: all that follows attends the first
        for step in self._schedule.denoising_passes(left_out=left_out):
            clean, flow = self.denoise(plan, step, clean)
            if observe:
                observe(step, flow)
        assert clean is not None
        flow = self.commit(plan, clean)
        if observe:
            observe(self._schedule.clean_pass(), flow)
        return clean

    def denoise(self, plan: ChunkPlan, step: Pass, clean: Tensor | None) -> tuple[Tensor, Tensor]:
        """One denoising pass: x = keep x0 + noise_scale noise; x0 = x - sigma flow. Returns (x0, flow)."""
        shape = (self._batch, self._geometry.chunk_frames, *self._geometry.latent_shape)
        x = step.noise_scale * self._noise(plan.segment, plan.chunk, step.index, shape).to(self._device)
        if clean is not None:
            x = step.keep * clean + x
        flow = self._pass(plan.denoise, x, step.timestep)
        return x - step.sigma * flow, flow

    @torch.no_grad()
    def commit(self, plan: ChunkPlan, clean: Tensor) -> Tensor:
        """The clean pass, which writes the chunk's keys and values; the state moves on. Returns the pass's flow."""
        flow = self._pass(plan.commit, clean, self._schedule.clean_pass().timestep)
        self.state = plan.after
        return flow

    def _pass(self, plan: PassPlan, latent: Tensor, timestep: int) -> Tensor:
        if self._text is None:
            raise ValueError("no prompt yet: start first")
        self.cache.move(plan)
        past_k, past_v = self.cache.attended(plan)
        flow, new_k, new_v = self._network(
            latent,
            torch.full(latent.shape[:2], float(timestep), device=self._device),
            self._text,
            self._positions(plan.positions),
            self._positions(plan.past_positions),
            past_k,
            past_v,
        )
        if plan.write_slot is not None:
            self.cache.write(plan.write_slot, new_k, new_v)
        assert isinstance(flow, Tensor)
        return flow

    def _positions(self, positions: tuple[int, ...]) -> Tensor:
        return torch.tensor(positions, dtype=torch.int64, device=self._device).expand(self._batch, -1)


class VideoStream:
    """Pictures in, frames out: one session as a client sees it.

    Args:
        latents: a stream of batch 1 that has not been started.
        person, garment: [H, W, 3] uint8, already cropped or padded to the frame.
        text_context: [1, T, D_text].
    """

    @torch.no_grad()
    def __init__(
        self, latents: LatentStream, vae: StreamingVae, *, person: Tensor, garment: Tensor, text_context: Tensor
    ) -> None:
        self._latents = latents
        self._vae = vae
        self._caches: tuple[Tensor, ...] | None = None  # None: the next latent decodes to one frame
        self._last_frame = person
        latents.start(vae.encode_image(person[None]), vae.encode_image(garment[None]), text_context)

    @torch.no_grad()
    def chunk(self) -> Tensor:
        """The next chunk's frames, [9 or 12, H, W, 3] uint8."""
        frames = []
        for latent in self._latents.chunk()[0]:
            shown, self._caches = self._vae.decode(latent[None], self._caches)
            frames.append(shown)
        video = torch.cat(frames)
        self._last_frame = video[-1]
        return video

    @torch.no_grad()
    def switch(
        self,
        garment: Tensor,
        policy: Policy = Policy.REFRESH_WITHDRAW_DISENTANGLE,
        text_context: Tensor | None = None,
    ) -> None:
        """Change the garment (and the prompt, if one is given) from the next chunk on."""
        plan = plan_switch(self._latents.state, policy)
        pictures = {Role.GARMENT: garment, Role.REFERENCE: self._last_frame}
        conditions = {role: self._vae.encode_image(pictures[role][None]) for role in plan.conditions}
        self._latents.prefill(plan, conditions, text_context)
        if plan.restarts_video:
            self._caches = None
