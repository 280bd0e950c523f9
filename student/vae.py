"""diffusers' AutoencoderKLWan with the streaming decoder's caches made explicit: fixed tensors in, fixed tensors out.

A causal convolution over time looks at two past frames. In diffusers those live in a list that starts as None, is a
string for a while, and grows from one frame to two; here each is a two-frame tensor that starts as zeros, which is
the same thing (a causal convolution pads with zeros), so that `first` and `next` are two static graphs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanResample, patchify, unpatchify
from torch import Tensor, nn

CACHED_FRAMES = 2

CacheShapes = tuple[tuple[int, int, int, int], ...]
"""[C, 2, H, W] of each of the decoder's caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeConfig:
    """The sizes of an AutoencoderKLWan of the Wan2.2 kind, and the statistics its latents are normalised with."""

    base_dim: int
    decoder_base_dim: int
    z_dim: int
    latents_mean: tuple[float, ...]
    latents_std: tuple[float, ...]
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    temperal_downsample: tuple[bool, ...] = (False, True, True)  # diffusers' spelling
    patch_size: int = 2
    scale_factor_temporal: int = 4
    scale_factor_spatial: int = 16
    is_residual: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        if not len(self.latents_mean) == len(self.latents_std) == self.z_dim:
            raise ValueError(f"latents_mean and latents_std need {self.z_dim} values each")

    def build(self) -> AutoencoderKLWan:
        channels = 3 * self.patch_size**2
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        vae: AutoencoderKLWan = AutoencoderKLWan(**(values | lists), in_channels=channels, out_channels=channels)
        return vae.eval()


class DoublePixels(nn.Module):
    """Nearest-neighbour upsampling by two, equal to nearest-exact, which exports as GatherND."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        doubled = x[:, :, :, None, :, None].expand(batch, channels, height, 2, width, 2)
        return doubled.reshape(batch, channels, 2 * height, 2 * width)


class StreamingVae(nn.Module):
    """Encodes single images, decodes a stream latent by latent. Frames are uint8 RGB, latents normalised float32.

    Owns `vae` from here on: its upsampling layers are replaced by exportable ones of the same result.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae
        shape = (1, -1, 1, 1, 1)
        self.register_buffer("mean", torch.tensor(vae.config.latents_mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(vae.config.latents_std).view(shape), persistent=False)
        for layer in vae.decoder.modules():
            if isinstance(layer, WanResample):
                layer.resample[0] = DoublePixels()
        self._cached_convolutions = sum(
            isinstance(layer, WanCausalConv3d) and layer.kernel_size[0] > 1 for layer in vae.decoder.modules()
        )

    def encode_image(self, image: Tensor) -> Tensor:
        """[B, H, W, 3] uint8 -> [B, C, h, w]: the mode of the posterior, as a latent that stands for a single frame."""
        # Converted before it is transposed: TensorRT moves no uint8 about.
        pixels = (image.to(self.vae.dtype).permute(0, 3, 1, 2).unsqueeze(2) / 127.5) - 1
        moments = self.vae.quant_conv(self.vae.encoder(patchify(pixels, self.vae.config.patch_size)))
        mode: Tensor = moments.chunk(2, dim=1)[0].float()
        return ((mode - self.mean) / self.std).squeeze(2)

    def encode_video(self, clip: Tensor) -> Tensor:
        """[B, 1 + 4 (F - 1), H, W, 3] uint8 -> [B, F, C, h, w]; the first frame gets a latent of its own."""
        pixels = (clip.permute(0, 4, 1, 2, 3).to(self.vae.dtype) / 127.5) - 1
        mode = self.vae._encode(pixels).chunk(2, dim=1)[0].float()
        latent: Tensor = ((mode - self.mean) / self.std).transpose(1, 2)
        return latent

    def decode(self, latent: Tensor, caches: Iterable[Tensor] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """`decode_pixels` as pictures: [1, C, h, w] -> [1 or 4, H, W, 3] uint8, and the caches for the next latent."""
        pixels, new_caches = self.decode_pixels(latent, caches)
        return to_uint8(pixels), new_caches

    def decode_pixels(self, latent: Tensor, caches: Iterable[Tensor] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Decode the next latent of a stream.

        Args:
            latent: [1, C, h, w], normalised.
            caches: what the previous latent's decode returned, each [C_i, 2, H_i, W_i]; None: the stream begins, and
                the latent stands for one frame instead of four.

        Returns:
            pixels [3, T, H, W] in [-1, 1], and the new caches.
        """
        first = caches is None
        slots: list[Any] = [None] * self._cached_convolutions if caches is None else [cache[None] for cache in caches]
        z = latent.unsqueeze(2) * self.std + self.mean
        x = self.vae.post_quant_conv(z.to(self.vae.dtype))
        x = self.vae.decoder(x, feat_cache=slots, feat_idx=[0], first_chunk=first)
        pixels = unpatchify(x, self.vae.config.patch_size)[0].float().clamp(-1, 1)
        return pixels, _padded(slots) if first else tuple(slot[0] for slot in slots)


def to_uint8(pixels: Tensor) -> Tensor:
    """[3, T, H, W] in [-1, 1] -> [T, H, W, 3] uint8."""
    return ((pixels.permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8)


def decoder_cache_shapes(config: VaeConfig, *, latent_height: int, latent_width: int) -> CacheShapes:
    """[C, 2, H, W] of each of the decoder's caches, found by decoding on the meta device: nothing is allocated."""
    with torch.device("meta"):
        decoder = StreamingVae(config.build())
        _, caches = decoder.decode_pixels(torch.empty(1, config.z_dim, latent_height, latent_width), None)
    return tuple((channels, frames, height, width) for channels, frames, height, width in (c.shape for c in caches))


def _padded(slots: list[Any]) -> tuple[Tensor, ...]:
    """Caches after the first latent: one frame behind a zero frame, and zeros where the convolution was skipped."""
    caches: list[Tensor] = []
    for slot in slots:
        # diffusers marks a skipped time convolution with a string; it would have seen the shape of the one before it.
        skipped = isinstance(slot, str)
        caches.append(torch.zeros_like(caches[-1]) if skipped else F.pad(slot[0], (0, 0, 0, 0, CACHED_FRAMES - 1, 0)))
    return tuple(caches)
