"""In-context SFT: a bidirectional network that sees [reference, garment, video], the conditions clean at timestep 0."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from contract.geometry import CONDITION_FRAMES
from student.dit import CausalDiT
from training.batch import LatentBatch
from training.captions import drop
from training.draws import Draws
from training.networks import Networks
from training.noise import mix, timestep, warp
from training.presets import Preset


def loss(networks: Networks, preset: Preset, batch: LatentBatch, draws: Draws) -> Tensor:
    """The mean over the video's frames; one noise level a clip."""
    config = preset.teacher
    clean = batch.video
    frames = clean.shape[1]
    sigma = config.levels.draw(draws, 1, preset.schedule).expand(-1, frames)
    noise = draws.normal(*clean.shape[1:])
    captions = drop(batch.captions, draws.uniform(), share=config.text_dropout)
    context = networks.context(captions, preset)
    flow = video_flow(networks.network, batch.conditions, mix(clean, noise, sigma), sigma, context)
    return config.levels.loss(flow, noise - clean, sigma).mean()


def video_flow(network: CausalDiT, conditions: Tensor, video: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
    """The bidirectional pass: conditions [B, 2, C, h, w], video [B, F, C, h, w], sigma [B, F] -> flow of the video."""
    latent = torch.cat((conditions, video), dim=1)
    seen = torch.cat((sigma.new_zeros(len(sigma), CONDITION_FRAMES), timestep(sigma)), dim=1)
    position = torch.arange(latent.shape[1], device=latent.device).expand(len(latent), -1)
    return network.attend_all(latent, seen, context, position)[:, CONDITION_FRAMES:]


def guided_flow(
    network: CausalDiT,
    conditions: Tensor,
    video: Tensor,
    sigma: Tensor,
    context: Tensor,
    empty: Tensor,
    *,
    guidance: float,
) -> Tensor:
    """cond + guidance (cond - uncond); only the text is left out of `uncond`."""
    conditional = video_flow(network, conditions, video, sigma, context)
    if not guidance:
        return conditional
    unconditional = video_flow(network, conditions, video, sigma, empty)
    return conditional + guidance * (conditional - unconditional)


@torch.no_grad()
def sample(networks: Networks, preset: Preset, batch: LatentBatch, draws: Draws) -> Tensor:
    """Videos [B, F, C, h, w] by Euler steps along the guided flow; the batch's own videos are not looked at."""
    context = networks.context(batch.captions, preset)
    empty = networks.context([""] * batch.size, preset)
    sigmas = warp(torch.linspace(1, 0, preset.sampling_steps + 1), preset.schedule.shift).tolist()
    x = draws.normal(preset.frames, *preset.geometry.latent_shape)
    for sigma, lower in pairwise(sigmas):
        at = torch.full(x.shape[:2], sigma, device=x.device)
        flow = guided_flow(networks.network, batch.conditions, x, at, context, empty, guidance=preset.guidance)
        x = x + (lower - sigma) * flow
    return x
