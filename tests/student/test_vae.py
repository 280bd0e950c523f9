"""The VAE: streaming decode is the whole decode bit for bit, and single images encode as in diffusers."""

from dataclasses import replace
from math import prod

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import nn

from contract.geometry import WAN_5B, StudentGeometry
from student.vae import CACHED_FRAMES, StreamingVae, VaeConfig, decoder_cache_shapes, to_uint8

WAN_5B_VAE = VaeConfig(
    base_dim=160, decoder_base_dim=256, z_dim=48, latents_mean=(0.0,) * 48, latents_std=(1.0,) * 48
)  # fmt: skip
LATENTS = 7


@pytest.fixture
def diffusers_vae(vae: StreamingVae, vae_config: VaeConfig) -> AutoencoderKLWan:
    """The same weights in an AutoencoderKLWan of which nothing was replaced."""
    untouched = vae_config.build().requires_grad_(False)
    untouched.load_state_dict(vae.vae.state_dict())
    return untouched


@pytest.fixture
def latents(geometry: StudentGeometry) -> torch.Tensor:
    return torch.randn(LATENTS, *geometry.latent_shape, generator=torch.Generator().manual_seed(0))


class FrameByFrame(nn.Module):
    """A convolution without extent in time, over one frame at a time.

    Mathematically nothing changes; but how PyTorch orders a sum depends on the number of frames it gets.
    """

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.convolution(frame) for frame in x.split(1, dim=2)], dim=2)


def _whole_decode(vae: AutoencoderKLWan, config: VaeConfig, latents: torch.Tensor) -> torch.Tensor:
    """[n, C, h, w] normalised -> [3, T, H, W]: diffusers' own decode of the whole clip."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (config.latents_mean, config.latents_std))
    return vae.decode(latents.transpose(0, 1)[None] * std + mean).sample[0]


def _streamed(vae: StreamingVae, latents: torch.Tensor, chunks: tuple[int, ...]) -> torch.Tensor:
    """Decode in chunks; between chunks the caches rest in fixed memory, two banks by turns, as in the engine."""
    _, first = vae.decode_pixels(latents[:1], None)
    banks = [[torch.full_like(cache, torch.nan) for cache in first] for _ in range(2)]
    pixels, caches = [], None
    for number, chunk in enumerate(latents.split(chunks)):
        for latent in chunk:
            shown, caches = vae.decode_pixels(latent[None], caches)
            pixels.append(shown)
        bank = banks[number % 2]
        for held, cache in zip(bank, caches, strict=True):
            held.copy_(cache)
        caches = tuple(bank)
    return torch.cat(pixels, dim=1)


@pytest.mark.parametrize("chunks", [(7,), (1, 6), (3, 3, 1), (2, 2, 2, 1), (1,) * 7], ids=str)
def test_streamed_in_any_chunks_a_clip_decodes_to_the_same_bits_as_whole(
    vae: StreamingVae,
    diffusers_vae: AutoencoderKLWan,
    vae_config: VaeConfig,
    latents: torch.Tensor,
    chunks: tuple[int, ...],
) -> None:
    # The one layer that diffusers applies to the whole clip at once, before its decoder's own causal loop.
    assert diffusers_vae.post_quant_conv.kernel_size == (1, 1, 1)
    diffusers_vae.post_quant_conv = FrameByFrame(diffusers_vae.post_quant_conv)
    whole = _whole_decode(diffusers_vae, vae_config, latents)
    assert whole.shape[1] == 1 + 4 * (LATENTS - 1)
    assert torch.equal(_streamed(vae, latents, chunks), whole)


def test_a_streamed_clip_is_the_untouched_diffusers_decode_but_for_the_order_of_one_sum(
    vae: StreamingVae, diffusers_vae: AutoencoderKLWan, vae_config: VaeConfig, latents: torch.Tensor
) -> None:
    whole = _whole_decode(diffusers_vae, vae_config, latents)
    torch.testing.assert_close(_streamed(vae, latents, (3, 3, 1)), whole, atol=1e-5, rtol=0)


def test_a_stream_that_begins_again_forgets_what_it_decoded(vae: StreamingVae, latents: torch.Tensor) -> None:
    _, caches = vae.decode(latents[:1], None)
    vae.decode(latents[1:2], caches)
    again, _ = vae.decode(latents[2:3], None)
    alone, _ = vae.decode(latents[2:3], None)
    assert again.shape[0] == 1
    assert torch.equal(again, alone)


def test_decoding_a_latent_again_from_the_same_caches_gives_the_same(vae: StreamingVae, latents: torch.Tensor) -> None:
    _, caches = vae.decode(latents[:1], None)
    before = [cache.clone() for cache in caches]
    once, twice = (vae.decode(latents[1:2], caches) for _ in range(2))
    assert torch.equal(once[0], twice[0])
    assert all(torch.equal(a, b) for a, b in zip(once[1], twice[1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, caches, strict=True))


def test_caches_have_the_shapes_that_the_geometry_says(
    vae: StreamingVae, geometry: StudentGeometry, latents: torch.Tensor
) -> None:
    caches = None
    for latent in latents[:3]:
        _, caches = vae.decode(latent[None], caches)
        assert tuple(tuple(cache.shape) for cache in caches) == geometry.decoder_cache_shapes
    assert all(shape[1] == CACHED_FRAMES for shape in geometry.decoder_cache_shapes)


def test_a_single_image_encodes_as_in_diffusers(
    vae: StreamingVae, diffusers_vae: AutoencoderKLWan, vae_config: VaeConfig, geometry: StudentGeometry
) -> None:
    shape = (2, geometry.frame_height, geometry.frame_width, 3)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mode = diffusers_vae.encode(image.permute(0, 3, 1, 2)[:, :, None] / 127.5 - 1).latent_dist.mode()
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1) for values in (vae_config.latents_mean, vae_config.latents_std)
    )
    got = vae.encode_image(image)
    assert got.shape == (2, *geometry.latent_shape)
    assert torch.equal(got, ((mode - mean) / std)[:, :, 0])


def test_frames_span_black_to_white() -> None:
    pixels = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1)
    assert to_uint8(pixels).flatten().tolist() == [0, 128, 255]


def test_the_5b_decoder_caches_are_the_published_3_22_gigabytes() -> None:
    shapes = decoder_cache_shapes(WAN_5B_VAE, latent_height=WAN_5B.latent_height, latent_width=WAN_5B.latent_width)
    assert len(shapes) == 32
    assert 2 * sum(prod(shape) for shape in shapes) == pytest.approx(3.22e9, rel=5e-3)  # bfloat16


def test_statistics_of_another_number_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="need 48 values each"):
        replace(WAN_5B_VAE, latents_mean=(0.0,))
