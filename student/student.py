"""The three networks of a student, on one geometry."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from contract import byte_tokenizer
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule
from student.dit import CausalDiT, DiTConfig
from student.text import TextConfig, TextEncoder
from student.vae import StreamingVae, VaeConfig

_SCHEDULE = DenoisingSchedule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """Backbone, VAE and text encoder that fit each other.

    Attributes:
        tokenizer: as the manifest names it.
        schedule: the few steps that the backbone was distilled for.
    """

    geometry: StudentGeometry
    network: CausalDiT
    vae: StreamingVae
    text_encoder: TextEncoder
    tokenizer: str = byte_tokenizer.NAME
    schedule: DenoisingSchedule = _SCHEDULE

    @classmethod
    def untrained(
        cls,
        geometry: StudentGeometry,
        *,
        vae: VaeConfig,
        text: TextConfig,
        seed: int,
        schedule: DenoisingSchedule = _SCHEDULE,
    ) -> Student:
        """Weights drawn from a seed, in float32: the same on every machine with the same PyTorch."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            student = cls(
                geometry=geometry,
                network=CausalDiT(DiTConfig.of(geometry)).eval(),
                vae=StreamingVae(vae.build()).eval(),
                text_encoder=TextEncoder(text.build()).eval(),
                schedule=schedule,
            )
            _raise_contrast(student.vae)
        return student


def _raise_contrast(vae: StreamingVae) -> None:
    """PyTorch's default weights fade pictures to grey on their way through; these make an untrained video visible."""
    with torch.no_grad():
        for layer in vae.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
