"""Gradient-reweighted DMD: the student's own rollouts, pulled towards the teacher where the two scores differ.

The gradient on a generated clip x is x0_fake - x0_real at a common noise level: where the teacher (real score) and a
network that learns the student's clips (fake score) would take it. Frames of low reward weigh more (the paper's eq. 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from contract.cache_plan import plan_chunk
from student.dit import CausalDiT
from student.rollout import LatentStream
from training import forcing, teacher
from training.batch import LatentBatch
from training.captions import EMPTY
from training.draws import Draws
from training.networks import Networks
from training.noise import mix, to_clean, warp
from training.presets import DmdConfig, Preset
from training.reward import Reward, by_chunk
from training.stage import SHOWN, Part, Sampled, Scene, Trained, with_text


def rollout(network: CausalDiT, preset: Preset, batch: LatentBatch, context: Tensor, draws: Draws) -> Tensor:
    """Self-forcing: chunk after chunk through the session's cache, each left at one exit step drawn for all.

    Gradients, where they are enabled: through each chunk's last denoising pass. Conditions and clean passes have none.

    Returns:
        Clean latents [B, F, C, h, w].
    """
    passes = preset.schedule.denoising_passes()
    passes = passes[: draws.common(len(passes)) + 1]
    stream = LatentStream(
        network,
        preset.geometry,
        noise=lambda _segment, _chunk, _index, shape: draws.normal(*shape[1:]),
        schedule=preset.schedule,
        batch=batch.size,
    )
    stream.start(batch.reference, batch.garment, context)
    learning = torch.is_grad_enabled()
    chunks = []
    for _ in range(preset.chunks):
        plan = plan_chunk(stream.state)
        clean: Tensor | None = None
        for step in passes:
            with torch.set_grad_enabled(learning and step is passes[-1]):
                clean, _ = stream.denoise(plan, step, clean)
        assert clean is not None
        chunks.append(clean)
        stream.commit(plan, clean.detach())
    return torch.cat(chunks, dim=1)


def score_gradient(generated: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """x0_fake - x0_real over the mean distance |x - x0_real| of each clip, as in DMD; all [B, F, C, h, w]."""
    distance = (generated - real).abs().mean(dim=(1, 2, 3, 4), keepdim=True)
    return (fake - real) / distance


def frame_weights(reward: Tensor, tau: float | None) -> Tensor:
    """F softmax(-R / tau) over a clip's F frames, [B, F]: the mean weight is 1. tau None: all weigh the same."""
    if tau is None:
        return torch.ones_like(reward)
    return reward.shape[1] * torch.softmax(-reward / tau, dim=1)


def matching_loss(generated: Tensor, gradient: Tensor, weights: Tensor) -> Tensor:
    """A loss whose gradient on `generated` is `gradient`, times its frame's weight, over the number of elements."""
    target = (generated - gradient).detach()
    frames = 0.5 * (generated - target).square().mean(dim=(2, 3, 4))
    return (weights * frames).mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The frozen teacher and the network that follows the student."""

    real: CausalDiT
    fake: CausalDiT

    @torch.no_grad()
    def gradient(
        self, generated: Tensor, conditions: Tensor, context: Tensor, empty: Tensor, draws: Draws, config: DmdConfig
    ) -> Tensor:
        """`score_gradient` at a noise level drawn for each clip."""
        frames = generated.shape[1]
        sigma = warp(draws.uniform(1), config.levels.shift).clamp(config.lowest, config.highest).expand(-1, frames)
        x = mix(generated, draws.normal(*generated.shape[1:]), sigma)
        real = teacher.guided_flow(self.real, conditions, x, sigma, context, empty, guidance=config.guidance)
        fake = teacher.video_flow(self.fake, conditions, x, sigma, context)
        return score_gradient(generated, to_clean(x, real, sigma), to_clean(x, fake, sigma))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """The student's own: videos [B, F, C, h, w], and what they were made from."""

    batch: LatentBatch
    video: Tensor
    context: Tensor


class DmdStage:
    """A step is `critic_steps` steps of the fake score and one of the generator, which has a rollout of its own."""

    name = "dmd"

    def __init__(
        self, scene: Scene, *, generator: Networks, real: Networks, fake: Networks, reward: Reward | None
    ) -> None:
        config = scene.preset.dmd
        self.steps = config.steps
        self._scene, self._config, self._reward = scene, config, reward
        self._generator = generator
        self._scores = Scores(real=real.frozen().network, fake=fake.network)
        self._student = Part(Trained(generator, text=False), config.generator, steps=config.steps, ema=config.ema)
        self._critic = Part(
            Trained(fake, text=False), config.critic, steps=config.steps * config.critic_steps, ema=config.ema
        )
        self.parts: Mapping[str, Part] = {"generator": self._student, "critic": self._critic}

    def step(self, step: int) -> dict[str, float]:
        turns = self._config.critic_steps
        first = step * (turns + 1)  # every turn draws a batch of its own, whether or not it is used
        losses = []
        for turn in range(turns):
            if turn % self._config.rollout_uses == 0:
                clips = self._rolled_out(first + turn)
            losses.append(self._critic_step(clips, step * turns + turn))
        metrics = self._generator_step(step, first + turns)
        return {**metrics, "critic_loss": sum(losses) / max(1, turns)}

    def result(self) -> Mapping[str, Tensor]:
        return with_text(self._student.averaged(), self._generator, self._scene.preset)

    def sample(self) -> Sampled | None:
        batch = self._scene.batch(0).first(SHOWN)
        with self._student.ema.applied():
            draws = self._scene.draws(self.name, "sample", batch=batch)
            video = forcing.sample(self._generator, self._scene.preset, batch, draws)
        return Sampled(conditions=batch.conditions, video=video)

    @torch.no_grad()
    def _rolled_out(self, draw: int) -> Clips:
        batch, draws, context = self._drawn(draw)
        video = rollout(self._generator.network, self._scene.preset, batch, context, draws)
        return Clips(batch=batch, video=video, context=context)

    def _critic_step(self, clips: Clips, step: int) -> float:
        """Flow matching on the student's clips."""
        preset, config = self._scene.preset, self._config
        draws = self._scene.draws(self.name, "critic", step, batch=clips.batch)
        noise = draws.normal(*clips.video.shape[1:])
        sigma = config.levels.draw(draws, 1, preset.schedule).expand(-1, preset.frames)
        x = mix(clips.video, noise, sigma)
        flow = teacher.video_flow(self._scores.fake, clips.batch.conditions, x, sigma, clips.context)
        loss = config.levels.loss(flow, noise - clips.video, sigma).mean()
        loss.backward()
        self._critic.step(step)
        return loss.item()

    def _generator_step(self, step: int, draw: int) -> dict[str, float]:
        preset, config = self._scene.preset, self._config
        batch, draws, context = self._drawn(draw)
        generated = rollout(self._generator.network, preset, batch, context, draws)
        seen = generated.detach()
        with torch.no_grad():
            empty = self._generator.context([EMPTY] * batch.size, preset)
            scored = self._reward(seen) if self._reward else torch.zeros(seen.shape[:2], device=seen.device)
        reward = by_chunk(scored, preset.geometry.chunk_frames)
        gradient = self._scores.gradient(seen, batch.conditions, context, empty, draws, config)
        loss = matching_loss(generated, gradient, frame_weights(reward, config.tau))
        loss.backward()
        gap = gradient.abs().mean().item()
        return {"loss": loss.item(), **self._student.step(step), "reward": reward.mean().item(), "score_gap": gap}

    def _drawn(self, draw: int) -> tuple[LatentBatch, Draws, Tensor]:
        batch = self._scene.batch(draw)
        with torch.no_grad():
            context = self._generator.context(batch.captions, self._scene.preset)
        return batch, self._scene.draws(self.name, draw, batch=batch), context
