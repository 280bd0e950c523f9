"""The embedded student: small networks of the same classes, which run on a laptop. Untrained: built from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from contract.byte_tokenizer import VOCABULARY
from contract.geometry import StudentGeometry
from student.dit import CausalDiT, DiTConfig
from student.text import TextConfig, TextEncoder
from student.vae import StreamingVae, VaeConfig, decoder_cache_shapes

SEED = 20260531
_Z = 16
_LATENT_HEIGHT, _LATENT_WIDTH = 12, 8

VAE = VaeConfig(base_dim=12, decoder_base_dim=16, z_dim=_Z, latents_mean=(0.0,) * _Z, latents_std=(1.0,) * _Z)
TEXT = TextConfig(vocabulary=VOCABULARY, dim=64, ffn_dim=128, num_heads=4, num_layers=2)
GEOMETRY = StudentGeometry(
    name="nano",
    dim=192,
    ffn_dim=768,
    num_heads=3,
    num_layers=5,
    freq_dim=256,
    text_dim=TEXT.dim,
    text_tokens=128,
    latent_channels=_Z,
    latent_height=_LATENT_HEIGHT,
    latent_width=_LATENT_WIDTH,
    vae_temporal_stride=VAE.scale_factor_temporal,
    vae_spatial_stride=VAE.scale_factor_spatial,
    decoder_cache_shapes=decoder_cache_shapes(VAE, latent_height=_LATENT_HEIGHT, latent_width=_LATENT_WIDTH),
    chunk_frames=3,
    sink_frames=3,
    recent_frames=18,
    frames_per_second=12,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """The three networks of a student, on one geometry; `tokenizer` as the manifest names it."""

    geometry: StudentGeometry
    network: CausalDiT
    vae: StreamingVae
    text_encoder: TextEncoder
    tokenizer: str = "bytes"


def build(seed: int = SEED) -> Student:
    """The untrained student of a seed, in float32: the same weights on every machine with the same PyTorch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CausalDiT(DiTConfig.of(GEOMETRY)).eval()
        vae = StreamingVae(VAE.build()).eval()
        text_encoder = TextEncoder(TEXT.build()).eval()
        _raise_contrast(vae)
    return Student(geometry=GEOMETRY, network=network, vae=vae, text_encoder=text_encoder)


def _raise_contrast(vae: StreamingVae) -> None:
    """PyTorch's default weights fade pictures to grey on their way through; these make an untrained video visible."""
    with torch.no_grad():
        for layer in vae.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
