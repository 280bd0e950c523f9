"""Noise levels: how they are drawn, what the network sees of them, and how much a level's error counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from contract.schedule import DenoisingSchedule
from training.draws import Draws


class Target(StrEnum):
    """In which space the squared error is taken. The network predicts flow in both."""

    FLOW = "flow"
    CLEAN = "clean"
    """x0 = x - sigma flow, so the flow's squared error counts sigma^2 times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLevels:
    """How levels are drawn: uniformly, warped by `shift` as sampling is.

    Attributes:
        shift: sigma = shift u / (1 + (shift - 1) u).
        few_step_share: this share of the levels is one of the student's few sampling steps instead.
        target: see `Target`.
    """

    shift: float = 5.0
    few_step_share: float = 0.0
    target: Target = Target.FLOW

    def draw(self, draws: Draws, count: int, schedule: DenoisingSchedule) -> Tensor:
        """sigma [B, count], independent of each other."""
        sigma = warp(draws.uniform(count), self.shift)
        if not self.few_step_share:
            return sigma
        few = torch.tensor([step.sigma for step in schedule.denoising_passes()], device=draws.device)
        picked = few[draws.whole(len(few), count)]
        return torch.where(draws.uniform(count) < self.few_step_share, picked, sigma)

    def loss(self, flow: Tensor, wanted: Tensor, sigma: Tensor) -> Tensor:
        """Squared error of each frame, [B, F]; flow and wanted [B, F, C, h, w], sigma [B, F]."""
        error = (flow - wanted).square().mean(dim=(2, 3, 4))
        return error * sigma.square() if self.target is Target.CLEAN else error


def warp(u: Tensor, shift: float) -> Tensor:
    """Uniform levels to sampling's: more of them near pure noise."""
    return shift * u / (1 + (shift - 1) * u)


def timestep(sigma: Tensor) -> Tensor:
    """What the network sees: whole numbers in [0, 1000], truncated as in sampling."""
    return torch.floor(1000 * sigma)


def mix(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """(1 - sigma) clean + sigma noise; [B, F, C, h, w] and sigma [B, F]."""
    at = sigma[:, :, None, None, None]
    return (1 - at) * clean + at * noise


def to_clean(x: Tensor, flow: Tensor, sigma: Tensor) -> Tensor:
    """x0 = x - sigma flow."""
    return x - sigma[:, :, None, None, None] * flow
