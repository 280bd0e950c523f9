"""A student small enough to run hundreds of chunks in seconds."""

import pytest
import torch

from contract.geometry import StudentGeometry
from student.dit import CausalDiT, DiTConfig
from student.vae import StreamingVae, VaeConfig, decoder_cache_shapes

VAE = VaeConfig(
    base_dim=4,
    decoder_base_dim=4,
    z_dim=4,
    latents_mean=(0.3, -0.2, 0.1, 0.0),
    latents_std=(0.5, 2.0, 1.0, 1.5),
)
GEOMETRY = StudentGeometry(
    name="tiny",
    dim=48,
    ffn_dim=64,
    num_heads=2,
    num_layers=2,
    freq_dim=32,
    text_dim=12,
    text_tokens=5,
    latent_channels=VAE.z_dim,
    latent_height=4,
    latent_width=2,
    decoder_cache_shapes=decoder_cache_shapes(VAE, latent_height=4, latent_width=2),
    chunk_frames=3,
    sink_frames=3,
    recent_frames=6,
)


@pytest.fixture(scope="session")
def geometry() -> StudentGeometry:
    return GEOMETRY


@pytest.fixture(scope="session")
def vae_config() -> VaeConfig:
    return VAE


@pytest.fixture(scope="session")
def network(geometry: StudentGeometry) -> CausalDiT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return CausalDiT(DiTConfig.of(geometry)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def vae(vae_config: VaeConfig) -> StreamingVae:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        return StreamingVae(vae_config.build()).eval().requires_grad_(False)
