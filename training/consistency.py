"""Causal consistency distillation: the way out where DMD after teacher forcing gives grids or wax.

On the teacher-forced pass: a chunk at one level and the same chunk one level further down the frozen teacher's path
must have the same clean estimate; the lower one's is the moving average's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from student.dit import CausalDiT
from training import forcing
from training.networks import Networks
from training.noise import mix, to_clean, warp
from training.stage import SHOWN, Part, Sampled, Scene, Trained, with_text


class ConsistencyStage:
    """From teacher forcing's weights, and towards the path that those weights, frozen, would take in small steps."""

    name = "consistency"

    def __init__(self, scene: Scene, *, student: Networks, path: Networks) -> None:
        config = scene.preset.consistency
        self.steps = config.steps
        self._scene, self._student = scene, student
        self._path = path.frozen().network
        self._part = Part(Trained(student, text=False), config.optimiser, steps=config.steps, ema=config.ema)
        self._levels = warp(torch.linspace(1, 0, config.levels + 1), scene.preset.schedule.shift)
        self.parts: Mapping[str, Part] = {"network": self._part}

    def step(self, step: int) -> dict[str, float]:
        preset = self._scene.preset
        batch = self._scene.batch(step)
        draws = self._scene.draws(self.name, step, batch=batch)
        place = draws.whole(preset.consistency.levels, preset.chunks)
        place = place.repeat_interleave(preset.geometry.chunk_frames, dim=1)
        levels = self._levels.to(draws.device)
        upper, lower = levels[place], levels[place + 1]
        x = mix(batch.video, draws.normal(*batch.video.shape[1:]), upper)
        with torch.no_grad():
            text = self._student.context(batch.captions, preset)

        def flow(network: CausalDiT, noisy: Tensor, sigma: Tensor) -> Tensor:
            layout = forcing.layout_of(preset)
            return forcing.video_flow(network, layout, batch.conditions, batch.video, noisy, sigma, text)

        with torch.no_grad():
            further = step_along(x, flow(self._path, x, upper), upper, lower)
            with self._part.ema.applied():
                target = to_clean(further, flow(self._student.network, further, lower), lower)
        clean = to_clean(x, flow(self._student.network, x, upper), upper)
        loss = (clean - target).square().mean()
        loss.backward()
        return {"loss": loss.item(), **self._part.step(step)}

    def result(self) -> Mapping[str, Tensor]:
        return with_text(self._part.averaged(), self._student, self._scene.preset)

    def sample(self) -> Sampled | None:
        batch = self._scene.batch(0).first(SHOWN)
        with self._part.ema.applied():
            draws = self._scene.draws(self.name, "sample", batch=batch)
            video = forcing.sample(self._student, self._scene.preset, batch, draws)
        return Sampled(conditions=batch.conditions, video=video)


def step_along(x: Tensor, flow: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """One Euler step of the path's equation from level `upper` to `lower`, [B, F] each."""
    return x + (lower - upper)[:, :, None, None, None] * flow
