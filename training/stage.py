"""A stage as the loop sees it, and the stages that train one backbone under one loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from contract.byte_tokenizer import encode
from training.batch import LatentBatch, LatentSource
from training.captions import Tokenize
from training.draws import Draws
from training.ema import Ema
from training.networks import TEXT_ENCODER, Networks
from training.optimiser import Optimiser, OptimiserConfig, whole
from training.place import Place
from training.presets import Preset

SHOWN = 4
"""Samples that are drawn for people to look at."""
Loss = Callable[[Networks, Preset, LatentBatch, Draws], Tensor]
Sampler = Callable[[Networks, Preset, LatentBatch, Draws], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Latents for people to look at: conditions [B, 2, C, h, w] and the video made from them [B, F, C, h, w]."""

    conditions: Tensor
    video: Tensor


class Part:
    """Something that is trained: a module, what steps it, and its moving average."""

    def __init__(self, module: nn.Module, optimiser: OptimiserConfig, *, steps: int, ema: float) -> None:
        self.module = module
        self.optimiser = Optimiser(module.named_parameters(), optimiser, steps=steps)
        self.ema = Ema(module, ema)

    def step(self, step: int) -> dict[str, float]:
        """Use and forget the gradients."""
        metrics = self.optimiser.step(step)
        self.ema.update(step)
        return metrics

    def averaged(self) -> dict[str, Tensor]:
        """The averaged state dict, whole tensors on the CPU."""
        with self.ema.applied():
            return {name: whole(tensor.detach()).cpu().clone() for name, tensor in self.module.state_dict().items()}


class Stage(Protocol):
    """What the loop needs of a training."""

    name: str
    steps: int
    parts: Mapping[str, Part]

    def step(self, step: int) -> dict[str, float]:
        """Train, as a function of the parts' state and the step alone; `loss` is among the metrics."""
        ...

    def result(self) -> Mapping[str, Tensor]:
        """The trained tensors, by the names under which the next stage reads them."""
        ...

    def sample(self) -> Sampled | None:
        """Videos of the averaged weights, if the stage makes videos."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What every stage works with. `tokenize` gives the text encoder's ids."""

    preset: Preset
    source: LatentSource
    place: Place
    tokenize: Tokenize = encode

    def batch(self, draw: int) -> LatentBatch:
        """This process's part of a draw."""
        return self.source.draw(draw).part(self.place.share, self.place.device)

    def draws(self, *key: int | str, batch: LatentBatch) -> Draws:
        """Randomness for a part of a global batch."""
        share = self.place.share
        size = batch.size * share.world
        return Draws(self.preset.seed, *key, batch=size, share=share, device=self.place.device)


class Trained(nn.Module):
    """Backbone and, where it is trained too, text encoder, under the names in which they are stored."""

    def __init__(self, networks: Networks, *, text: bool) -> None:
        super().__init__()
        self.network = networks.network
        if text:
            self.text_encoder = networks.text_encoder


class NetworkStage:
    """One backbone under one loss."""

    def __init__(
        self,
        name: str,
        scene: Scene,
        networks: Networks,
        *,
        loss: Loss,
        sampler: Sampler,
        optimiser: OptimiserConfig,
        steps: int,
        ema: float,
        train_text: bool = False,
    ) -> None:
        self.name, self.steps = name, steps
        self._scene, self._networks, self._loss, self._sampler = scene, networks, loss, sampler
        networks.text_encoder.requires_grad_(train_text)
        self._part = Part(Trained(networks, text=train_text), optimiser, steps=steps, ema=ema)
        self.parts: Mapping[str, Part] = {"network": self._part}

    def step(self, step: int) -> dict[str, float]:
        batch = self._scene.batch(step)
        draws = self._scene.draws(self.name, step, batch=batch)
        loss = self._loss(self._networks, self._scene.preset, batch, draws)
        loss.backward()
        return {"loss": loss.item(), **self._part.step(step)}

    def result(self) -> Mapping[str, Tensor]:
        return with_text(self._part.averaged(), self._networks, self._scene.preset)

    def sample(self) -> Sampled | None:
        batch = self._scene.batch(0).first(SHOWN)
        draws = self._scene.draws(self.name, "sample", batch=batch)
        with self._part.ema.applied():
            video = self._sampler(self._networks, self._scene.preset, batch, draws)
        return Sampled(conditions=batch.conditions, video=video)


def with_text(tensors: dict[str, Tensor], networks: Networks, preset: Preset) -> Mapping[str, Tensor]:
    """Add the text encoder, where it was made here and the next stage could get it nowhere else."""
    if not preset.teacher.train_text or any(name.startswith(TEXT_ENCODER) for name in tensors):
        return tensors
    text = networks.text_encoder.state_dict()
    return tensors | {TEXT_ENCODER + name: whole(tensor.detach()).cpu().clone() for name, tensor in text.items()}
