"""The stages by name: what each starts from and what it is made of."""

from __future__ import annotations

from pathlib import Path

from student.checkpoint import load, same_name
from training import forcing, teacher
from training.consistency import ConsistencyStage
from training.dmd import DmdStage
from training.networks import Networks
from training.reward import FrameCritic, Reward, RewardStage
from training.stage import NetworkStage, Scene


def teacher_stage(scene: Scene, *, init: Path | None = None, text: Path | None = None) -> NetworkStage:
    """From nothing, or from `init`: a stage's weights, or a published backbone with `text`'s encoder."""
    config = scene.preset.teacher
    return NetworkStage(
        "teacher",
        scene,
        _networks(scene, init, text, train_text=config.train_text),
        loss=teacher.loss,
        sampler=teacher.sample,
        optimiser=config.optimiser,
        steps=config.steps,
        ema=config.ema,
        train_text=config.train_text,
    )


def forcing_stage(scene: Scene, *, init: Path | None, text: Path | None = None) -> NetworkStage:
    """From the teacher's weights; from nothing, text encoder and all, where `init` is None."""
    config = scene.preset.forcing
    from_nothing = init is None
    return NetworkStage(
        "forcing",
        scene,
        _networks(scene, init, text, train_text=from_nothing),
        loss=forcing.loss,
        sampler=forcing.sample,
        optimiser=config.optimiser,
        steps=config.steps,
        ema=config.ema,
        train_text=from_nothing,
    )


def reward_stage(scene: Scene) -> RewardStage:
    return RewardStage(scene, _critic(scene))


def dmd_stage(
    scene: Scene, *, generator: Path, teacher: Path, reward: Reward | None, text: Path | None = None
) -> DmdStage:
    """Generator from a causal stage, both scores from the teacher. `reward` None: every frame weighs the same."""
    return DmdStage(
        scene,
        generator=_networks(scene, generator, text),
        real=_networks(scene, teacher, text),
        fake=_networks(scene, teacher, text),
        reward=reward,
    )


def consistency_stage(scene: Scene, *, init: Path, text: Path | None = None) -> ConsistencyStage:
    """From teacher forcing's weights, which also give the path."""
    return ConsistencyStage(scene, student=_networks(scene, init, text), path=_networks(scene, init, text))


def trained_reward(scene: Scene, weights: Path) -> Reward:
    """What the reward stage left behind."""
    critic = _critic(scene)
    load(critic, weights, rename=same_name)
    return critic.eval().requires_grad_(False)


def _critic(scene: Scene) -> FrameCritic:
    preset = scene.preset
    return FrameCritic.untrained(preset.geometry.latent_channels, preset.reward.width, seed=preset.seed).to(
        scene.place.device
    )


def _networks(scene: Scene, init: Path | None, text: Path | None, *, train_text: bool = False) -> Networks:
    preset, place = scene.preset, scene.place
    if init is None:
        if text is not None:
            raise ValueError(f"{text}: a text encoder is read beside a backbone, and none is given")
        networks = Networks.untrained(preset, place.device, tokenize=scene.tokenize)
    else:
        networks = Networks.load(preset, init, place.device, text=text, tokenize=scene.tokenize)
    networks.text_encoder.requires_grad_(train_text)
    place.ready(networks.network, preset)
    place.ready_text(networks.text_encoder)
    return networks
