"""What makes a frame good. Rewards are pluggable; nano's is a critic of latents, trained on corrupted drawings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from student.vae import StreamingVae
from training.draws import Draws, seed_of
from training.presets import RewardConfig
from training.sheet import frames
from training.stage import Part, Sampled, Scene

_GROUPS = 4
Reward = Callable[[Tensor], Tensor]
"""Latent videos [B, F, C, h, w] -> reward of each latent frame [B, F], higher is better."""
FrameScorer = Callable[[Tensor], Tensor]
"""Frames [T, H, W, 3] uint8 -> scores [T]: an aesthetic scorer, for instance."""


def by_latent(scores: Tensor, *, temporal_stride: int) -> Tensor:
    """Scores of frames [B, 1 + stride (F - 1)] -> their mean over each latent [B, F]; the first latent is one frame."""
    rest: Tensor = scores[:, 1:].unflatten(1, (-1, temporal_stride)).mean(dim=2)
    return torch.cat((scores[:, :1], rest), dim=1)


def by_chunk(reward: Tensor, chunk_frames: int) -> Tensor:
    """[B, F] -> [B, F], every frame with the mean of its chunk."""
    chunks: Tensor = reward.unflatten(1, (-1, chunk_frames)).mean(dim=2)
    return chunks.repeat_interleave(chunk_frames, dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedReward:
    """A reward that looks at decoded frames, as the paper's does."""

    vae: StreamingVae
    scorer: FrameScorer
    temporal_stride: int = 4

    @torch.no_grad()
    def __call__(self, videos: Tensor) -> Tensor:
        scores = [self.scorer(frames(self.vae, video)) for video in videos]
        return by_latent(torch.stack(scores), temporal_stride=self.temporal_stride)


class FrameCritic(nn.Module):
    """Quality in (0, 1) of each latent frame, by a few convolutions over it alone."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(_GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, 2 * width),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.GroupNorm(_GROUPS, 2 * width),
            nn.SiLU(),
        )
        self.head = nn.Linear(2 * width, 1)

    @classmethod
    def untrained(cls, channels: int, width: int, *, seed: int) -> FrameCritic:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "critic"))
            return cls(channels, width)

    def forward(self, videos: Tensor) -> Tensor:
        """[B, F, C, h, w] -> [B, F]."""
        return torch.sigmoid(self.logits(videos))

    def logits(self, videos: Tensor) -> Tensor:
        features = self.layers(videos.flatten(0, 1)).mean(dim=(2, 3))
        logits: Tensor = self.head(features).view(videos.shape[:2])
        return logits


class Corruption(IntEnum):
    NOISE = 0
    BLUR = 1
    BLOCK_SHIFT = 2
    COLOUR_SHIFT = 3
    WRONG_LIMB = 4
    """A patch of the body from another moment."""


def corrupted(video: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Half of the frames corrupted, each in one way and to a degree of its own.

    Returns:
        The video [B, F, C, h, w] and its quality [B, F]: 1 where it is clean, falling to 0.
    """
    count, channels = video.shape[1], video.shape[2]
    degree = draws.uniform(count) * (draws.uniform(count) < 0.5)
    kind = draws.whole(len(Corruption), count)
    patch = _patch(video, draws)
    worst = {
        Corruption.NOISE: video + draws.normal(*video.shape[1:]),
        Corruption.BLUR: F.avg_pool2d(video.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(video),
        Corruption.BLOCK_SHIFT: torch.where(patch, video.roll((1, 1), dims=(3, 4)), video),
        Corruption.COLOUR_SHIFT: video + draws.normal(count, channels, 1, 1),
        Corruption.WRONG_LIMB: torch.where(patch, video.roll(count // 2, dims=1), video),
    }
    out = video
    for corruption, bad in worst.items():
        share = (degree * (kind == corruption))[:, :, None, None, None]
        out = torch.lerp(out, bad, share)
    return out, 1 - degree


def _patch(video: Tensor, draws: Draws) -> Tensor:
    """A box of half the grid's height and width in each frame, [B, F, 1, h, w] bool."""
    batch, frames, _, height, width = video.shape
    top, left = draws.whole(height // 2 + 1, frames), draws.whole(width // 2 + 1, frames)

    def inside(start: Tensor, size: int) -> Tensor:
        at = torch.arange(size, device=video.device)
        return (at >= start[..., None]) & (at < start[..., None] + size // 2)

    box = inside(top, height)[..., :, None] & inside(left, width)[..., None, :]
    return box.view(batch, frames, 1, height, width)


class RewardStage:
    """Trains the frame critic to tell a frame's quality."""

    name = "reward"

    def __init__(self, scene: Scene, critic: FrameCritic) -> None:
        config: RewardConfig = scene.preset.reward
        self.steps = config.steps
        self._scene, self._critic = scene, critic
        self._part = Part(critic, config.optimiser, steps=config.steps, ema=config.ema)
        self.parts: Mapping[str, Part] = {"critic": self._part}

    def step(self, step: int) -> dict[str, float]:
        batch = self._scene.batch(step)
        video, quality = corrupted(batch.video, self._scene.draws(self.name, step, batch=batch))
        logits = self._critic.logits(video)
        loss = F.binary_cross_entropy_with_logits(logits, quality)
        loss.backward()
        error = (torch.sigmoid(logits.detach()) - quality).abs().mean().item()
        return {"loss": loss.item(), "error": error, **self._part.step(step)}

    def result(self) -> Mapping[str, Tensor]:
        return self._part.averaged()

    def sample(self) -> Sampled | None:
        return None
