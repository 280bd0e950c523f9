"""The embedded student: small networks of the same classes, for a laptop, with weights that ship beside them."""

from __future__ import annotations

from pathlib import Path

from contract.byte_tokenizer import VOCABULARY
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule
from student import checkpoint
from student.student import Student
from student.text import TextConfig
from student.vae import VaeConfig, decoder_cache_shapes

WEIGHTS = Path(__file__).parent / "weights" / "nano"
SEED = 20260531
_Z = 24
_LATENT_HEIGHT, _LATENT_WIDTH = 12, 8

# Patches of 4x4 pixels and one level less than Wan2.2's VAE: the same strides and the same classes, but no convolution
# at half the frame's size, where a CPU would spend most of its time (docs/model-card.md has the figures).
# Training folds the latents' mean and deviation into the weights, so they are 0 and 1 here.
VAE = VaeConfig(
    base_dim=32,
    decoder_base_dim=40,
    z_dim=_Z,
    latents_mean=(0.0,) * _Z,
    latents_std=(1.0,) * _Z,
    dim_mult=(1, 2, 2),
    num_res_blocks=1,
    temperal_downsample=(True, True),
    patch_size=4,
)
# Shift 5 is for frames of 880 tokens, where much noise hides little. In 24 tokens the last of four steps, at sigma
# 0.63, would have to guess most of a frame; with shift 2 it is at 0.4.
SCHEDULE = DenoisingSchedule(shift=2.0)
TEXT = TextConfig(vocabulary=VOCABULARY, dim=64, ffn_dim=128, num_heads=4, num_layers=2)
GEOMETRY = StudentGeometry(
    name="nano",
    dim=256,
    ffn_dim=768,
    num_heads=4,
    num_layers=4,
    freq_dim=256,
    text_dim=TEXT.dim,
    text_tokens=144,
    latent_channels=_Z,
    latent_height=_LATENT_HEIGHT,
    latent_width=_LATENT_WIDTH,
    vae_temporal_stride=VAE.scale_factor_temporal,
    vae_spatial_stride=VAE.scale_factor_spatial,
    decoder_cache_shapes=decoder_cache_shapes(VAE, latent_height=_LATENT_HEIGHT, latent_width=_LATENT_WIDTH),
    chunk_frames=3,
    sink_frames=3,
    recent_frames=9,
    frames_per_second=12,
)


def build(seed: int = SEED) -> Student:
    """The embedded student's networks with the untrained weights of a seed."""
    return Student.untrained(GEOMETRY, vae=VAE, text=TEXT, seed=seed, schedule=SCHEDULE)


def load(folder: Path = WEIGHTS) -> Student:
    """The embedded student with the weights of a folder: `student`, `vae` and `text_encoder.safetensors`.

    Raises:
        CheckpointError: a file does not fit, with every key that is at fault.
        FileNotFoundError: a file is missing.
    """
    student = build()
    checkpoint.load(student.network, folder / "student.safetensors")
    checkpoint.load(student.vae.vae, folder / "vae.safetensors", rename=checkpoint.same_name)
    checkpoint.load(student.text_encoder, folder / "text_encoder.safetensors", rename=checkpoint.same_name)
    return student
