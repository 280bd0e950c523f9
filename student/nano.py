"""The embedded student: small networks of the same classes, which run on a laptop. Untrained: built from a seed."""

from __future__ import annotations

from contract.byte_tokenizer import VOCABULARY
from contract.geometry import StudentGeometry
from student.student import Student
from student.text import TextConfig
from student.vae import VaeConfig, decoder_cache_shapes

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


def build(seed: int = SEED) -> Student:
    """The embedded student with the untrained weights of a seed."""
    return Student.untrained(GEOMETRY, vae=VAE, text=TEXT, seed=seed)
