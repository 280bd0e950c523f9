"""A student small enough to run hundreds of chunks in a second."""

import pytest
import torch

from contract.geometry import StudentGeometry
from student.dit import CausalDiT, DiTConfig

GEOMETRY = StudentGeometry(
    name="tiny",
    dim=48,
    ffn_dim=64,
    num_heads=2,
    num_layers=2,
    freq_dim=32,
    text_dim=12,
    text_tokens=5,
    latent_channels=4,
    latent_height=4,
    latent_width=4,
    chunk_frames=3,
    sink_frames=3,
    recent_frames=6,
)


@pytest.fixture(scope="session")
def geometry() -> StudentGeometry:
    return GEOMETRY


@pytest.fixture(scope="session")
def network(geometry: StudentGeometry) -> CausalDiT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return CausalDiT(DiTConfig.of(geometry)).eval().requires_grad_(False)
