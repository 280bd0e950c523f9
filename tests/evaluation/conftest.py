"""A case small enough to be drawn in a moment, and a student small enough to be sampled in one."""

from __future__ import annotations

import pytest

from contract.byte_tokenizer import VOCABULARY
from contract.geometry import StudentGeometry
from evaluation.cases import Case, draw_case
from evaluation.drive.reference import ReferenceDriver
from evaluation.pool import Bench
from student.student import Student
from student.text import TextConfig
from student.vae import VaeConfig, decoder_cache_shapes

_VAE = VaeConfig(
    base_dim=4,
    decoder_base_dim=4,
    z_dim=4,
    latents_mean=(0.0,) * 4,
    latents_std=(1.0,) * 4,
    dim_mult=(1, 1, 1),
    num_res_blocks=1,
    temperal_downsample=(True, True),
    patch_size=4,
)
_TEXT = TextConfig(vocabulary=VOCABULARY, dim=16, ffn_dim=16, num_heads=2, num_layers=1)
TINY = StudentGeometry(
    name="tiny",
    dim=32,
    ffn_dim=32,
    num_heads=2,
    num_layers=2,
    freq_dim=32,
    text_dim=_TEXT.dim,
    text_tokens=128,
    latent_channels=_VAE.z_dim,
    latent_height=6,
    latent_width=4,
    decoder_cache_shapes=decoder_cache_shapes(_VAE, latent_height=6, latent_width=4),
    chunk_frames=3,
    sink_frames=3,
    recent_frames=6,
    frames_per_second=12,
)


@pytest.fixture(scope="session")
def student() -> Student:
    return Student.untrained(TINY, vae=_VAE, text=_TEXT, seed=3)


@pytest.fixture(scope="session")
def bench(student: Student) -> Bench:
    return Bench(student=student, driver=ReferenceDriver(student))


@pytest.fixture(scope="session")
def small_case() -> Case:
    """Of the tiny student's size."""
    return draw_case(3, 0, (TINY.frame_height, TINY.frame_width))
