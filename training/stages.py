"""The stages by name: what each starts from and what it is made of."""

from __future__ import annotations

from pathlib import Path

from training import forcing, teacher
from training.networks import Networks
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
    """From the teacher's weights; from nothing, text encoder and all, where there are none."""
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


def _networks(scene: Scene, init: Path | None, text: Path | None, *, train_text: bool) -> Networks:
    preset, place = scene.preset, scene.place
    if init is None:
        networks = Networks.untrained(preset, place.device)
    else:
        networks = Networks.load(preset, init, place.device, text=text)
    networks.text_encoder.requires_grad_(train_text)
    place.ready(networks.network, preset)
    place.ready_text(networks.text_encoder)
    return networks
