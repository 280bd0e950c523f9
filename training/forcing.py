"""In-context teacher forcing: one masked pass over a clean and a noisy copy trains every chunk at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from contract.geometry import CONDITION_FRAMES
from student.dit import Attend, CausalDiT
from student.rollout import LatentStream
from student.teacher_forcing import frame_mask
from training.attention import attend
from training.batch import LatentBatch
from training.draws import Draws
from training.networks import Networks
from training.noise import mix, timestep
from training.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The sequence [clean copy, noisy copy] of a clip, each [reference, garment, video].

    Attributes:
        trimmed: without the noisy copy's conditions and the last clean chunk, on which no loss depends.
    """

    chunks: int
    chunk_frames: int
    trimmed: bool = True

    @property
    def video_frames(self) -> int:
        return self.chunks * self.chunk_frames

    @property
    def context_frames(self) -> int:
        """Latent frames of the clean copy, conditions included."""
        whole = CONDITION_FRAMES + self.video_frames
        return whole - self.chunk_frames if self.trimmed else whole

    @property
    def kept(self) -> Tensor:
        """Indices into the whole sequence of 2 (2 + K F) frames."""
        whole = CONDITION_FRAMES + self.video_frames
        noisy = torch.arange(CONDITION_FRAMES if self.trimmed else 0, whole) + whole
        return torch.cat((torch.arange(self.context_frames), noisy))

    @property
    def positions(self) -> Tensor:
        """Temporal positions, the same in both copies."""
        return self.kept % (CONDITION_FRAMES + self.video_frames)

    @property
    def mask(self) -> Tensor:
        """Which frame attends which, [n, n] bool."""
        kept = self.kept
        return frame_mask(chunks=self.chunks, chunk_frames=self.chunk_frames)[kept][:, kept]

    def sequence(self, conditions: Tensor, context: Tensor, noisy: Tensor) -> Tensor:
        """Conditions [B, 2, ...], the clean copy's video and the noisy video [B, K F, ...] each -> [B, n, ...]."""
        clean = torch.cat((conditions, context), dim=1)
        return torch.cat((clean, conditions, noisy), dim=1)[:, self.kept.to(clean.device)]


def loss(networks: Networks, preset: Preset, batch: LatentBatch, draws: Draws) -> Tensor:
    """The mean over the video's frames; every chunk has a noise level of its own."""
    config = preset.forcing
    clean = batch.video
    sigma = config.levels.draw(draws, preset.chunks, preset.schedule)
    sigma = sigma.repeat_interleave(preset.geometry.chunk_frames, dim=1)
    noise = draws.normal(*clean.shape[1:])
    context = clean + config.context_noise * draws.normal(*clean.shape[1:]) if config.context_noise else clean
    text = networks.context(batch.captions, preset)
    layout = layout_of(preset)
    flow = video_flow(networks.network, layout, batch.conditions, context, mix(clean, noise, sigma), sigma, text)
    return config.levels.loss(flow, noise - clean, sigma).mean()


def layout_of(preset: Preset) -> Layout:
    return Layout(chunks=preset.chunks, chunk_frames=preset.geometry.chunk_frames, trimmed=preset.forcing.trimmed)


def video_flow(
    network: CausalDiT,
    layout: Layout,
    conditions: Tensor,
    context: Tensor,
    noisy: Tensor,
    sigma: Tensor,
    text: Tensor,
) -> Tensor:
    """The masked pass.

    Args:
        conditions: [B, 2, C, h, w].
        context: [B, K F, C, h, w], the clean copy's video.
        noisy: [B, K F, C, h, w] at noise levels sigma [B, K F].

    Returns:
        Flow of the noisy video, [B, K F, C, h, w].
    """
    latent = layout.sequence(conditions, context, noisy)
    still = sigma.new_zeros(len(sigma), CONDITION_FRAMES, 1)
    seen = layout.sequence(still, torch.zeros_like(sigma)[..., None], timestep(sigma)[..., None])[..., 0]
    position = layout.positions.to(latent.device).expand(len(latent), -1)
    rows, columns = latent.shape[-2] // network.config.patch[0], latent.shape[-1] // network.config.patch[1]
    masked = _attend(layout, rows * columns, latent.device)
    return network.attend_all(latent, seen, text, position, masked)[:, -layout.video_frames :]


@cache
def _attend(layout: Layout, tokens_per_frame: int, device: torch.device) -> Attend:
    return attend(layout.mask, tokens_per_frame=tokens_per_frame, device=device)


@torch.no_grad()
def sample(networks: Networks, preset: Preset, batch: LatentBatch, draws: Draws) -> Tensor:
    """Videos [B, F, C, h, w] by the student's few steps, chunk after chunk through the cache."""
    stream = LatentStream(
        networks.network,
        preset.geometry,
        noise=lambda _segment, _chunk, _index, shape: draws.normal(*shape[1:]),
        schedule=preset.schedule,
        batch=batch.size,
    )
    stream.start(batch.reference, batch.garment, networks.context(batch.captions, preset))
    return torch.cat([stream.chunk() for _ in range(preset.chunks)], dim=1)
