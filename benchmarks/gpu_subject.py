"""What the GPU benchmark measures: networks of a student's shape with random weights.

The backbone needs PyTorch alone; the VAE needs diffusers too, and the text encoder transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import nn

from contract.geometry import WAN_5B, StudentGeometry
from contract.schedule import DenoisingSchedule
from student.dit import CausalDiT, DiTConfig

if TYPE_CHECKING:
    from student.wan import WanSizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A student to measure.

    Attributes:
        geometries: by the frame's size as rows show it; the first is the main one.
        sizes: gives VAE and text encoder for a geometry; ImportError if their libraries are missing.
    """

    name: str
    dtype: torch.dtype
    geometries: Mapping[str, StudentGeometry]
    sizes: Callable[[StudentGeometry], WanSizes]
    schedule: DenoisingSchedule


def wan_5b_subject() -> Subject:
    """The paper's student at the paper's frame and at 480x832, both upright."""

    def geometry(height: int, width: int) -> StudentGeometry:
        stride = WAN_5B.vae_spatial_stride
        return replace(WAN_5B, latent_height=height // stride, latent_width=width // stride)

    def sizes(geometry: StudentGeometry) -> WanSizes:
        from student import wan_5b

        return wan_5b.sizes(geometry.frame_height, geometry.frame_width)

    return Subject(
        name="5b",
        dtype=torch.bfloat16,
        geometries={"704x1280": geometry(1280, 704), "480x832": geometry(832, 480)},
        sizes=sizes,
        schedule=DenoisingSchedule(),
    )


def nano_subject() -> Subject:
    """The embedded student's shape."""
    from student import nano
    from student.wan import WanSizes

    geometry = nano.GEOMETRY
    return Subject(
        name=geometry.name,
        dtype=torch.float32,
        geometries={f"{geometry.frame_width}x{geometry.frame_height}": geometry},
        sizes=lambda geometry: WanSizes(geometry=geometry, vae=nano.VAE, text=nano.TEXT),
        schedule=DenoisingSchedule(),
    )


def random_backbone(geometry: StudentGeometry, device: torch.device, dtype: torch.dtype) -> CausalDiT:
    """Weights of the scale of fan-in ** -0.5, so that activations stay finite, made where they stay."""
    with torch.device("meta"):
        network = CausalDiT(DiTConfig.of(geometry)).eval()
    for parent in network.modules():
        for name, parameter in list(parent.named_parameters(recurse=False)):
            fan_in = prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
            weight = torch.empty_like(parameter, device=device, dtype=dtype)
            weight = weight if weight.is_meta else weight.normal_(std=fan_in**-0.5)
            setattr(parent, name, nn.Parameter(weight, requires_grad=False))
        for name, buffer in list(parent.named_buffers(recurse=False)):
            setattr(parent, name, buffer.to(device))
    return network
