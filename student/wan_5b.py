"""The paper's student: Wan2.2-TI2V-5B's three networks at full size, from a checkpoint or with random weights.

build(device="cuda")                 random weights, to measure with
load(folder, network=FILE)           Wan2.2-TI2V-5B as released or as converted for diffusers, and a fine-tune of it
meta()                               shapes only: nothing is allocated
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from contract.geometry import WAN_5B, StudentGeometry
from student.student import Student
from student.text import UMT5_XXL
from student.vae import VaeConfig, decoder_cache_shapes
from student.wan import Device, WanSizes

# Published with the VAE: github.com/Wan-Video/Wan2.2, wan/modules/vae2_2.py.
_MEAN = (
    *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891),
    *(0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
    *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723),
    *(-0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
)
_STD = (
    *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901),
    *(0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
    *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944),
    *(0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
)
VAE = VaeConfig(base_dim=160, decoder_base_dim=256, z_dim=48, latents_mean=_MEAN, latents_std=_STD)
TEXT = UMT5_XXL
DEFAULT_FRAME = (1280, 704)
"""Height and width in pixels: the paper's."""


@cache
def sizes(frame_height: int = DEFAULT_FRAME[0], frame_width: int = DEFAULT_FRAME[1]) -> WanSizes:
    """The 5B student for frames of a size in pixels, a multiple of 32 each.

    Raises:
        ValueError: if the frame is no multiple of 32 pixels.
    """
    stride = WAN_5B.vae_spatial_stride
    multiple = stride * WAN_5B.patch_height
    if frame_height % multiple or frame_width % multiple:
        raise ValueError(f"a frame of {frame_width}x{frame_height} is no multiple of {multiple}x{multiple}")
    height, width = frame_height // stride, frame_width // stride
    grid = replace(WAN_5B, latent_height=height, latent_width=width)
    caches = decoder_cache_shapes(VAE, latent_height=height, latent_width=width)
    return WanSizes(geometry=replace(grid, decoder_cache_shapes=caches), vae=VAE, text=TEXT)


def geometry(frame_height: int = DEFAULT_FRAME[0], frame_width: int = DEFAULT_FRAME[1]) -> StudentGeometry:
    """What contract.geometry.WAN_5B is, with the decoder's caches, for frames of a size in pixels."""
    return sizes(frame_height, frame_width).geometry


def meta() -> Student:
    """Shapes only: 11.4 billion parameters that take no memory."""
    return sizes().meta()


def build(*, device: Device = "cpu", dtype: torch.dtype = torch.bfloat16, seed: int = 0) -> Student:
    """Random weights; in bfloat16 23 GB. See `WanSizes.build`; `sizes(480, 832).build()` for other frames."""
    return sizes().build(device=device, dtype=dtype, seed=seed)


def load(
    folder: Path, *, network: Path | None = None, device: Device = "cpu", dtype: torch.dtype = torch.bfloat16
) -> Student:
    """A checkpoint folder, and a fine-tune of its backbone. See `WanSizes.load`."""
    return sizes().load(folder, network=network, device=device, dtype=dtype)
