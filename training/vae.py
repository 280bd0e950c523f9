"""The codec's stage: diffusers' AutoencoderKLWan, at nano width, learns to carry the drawn world.

Pictures first, which cost a third of what clips do, then crops of clips through the very chunks and caches of
streaming. Loss: absolute error of pixels and of their differences (edges, patterns), and a small KL term, whose
sampling also makes the decoder bear the small errors of a generated latent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify
from torch import Tensor

from student.checkpoint import load, same_name
from training.clips import Clips, Streams
from training.draws import Draws, Share
from training.place import Place
from training.presets import CodecConfig, CodecPhase
from training.stage import Part, Sampled
from training.world import Split, draw_sample

_STRIDE = 16
_STATISTICS_CLIPS = 32
_SHOWN = 4
_LOG_VARIANCE = -4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeBatch:
    """uint8 frames: pictures [P, 1, H, W, 3] whole, clips [B, T, h, w, 3] cropped."""

    pictures: Tensor
    clips: Tensor | None


class VaeStage:
    """The codec under the loop of all stages.

    Args:
        size: rows and columns of a frame.
        init: weights of a codec to train on; its latents change. None: from nothing.
        clips: what it sees; None: it draws for itself.
    """

    name = "vae"

    def __init__(
        self,
        config: CodecConfig,
        *,
        size: tuple[int, int],
        seed: int,
        place: Place,
        init: Path | None = None,
        clips: Clips | None = None,
    ) -> None:
        self.steps = config.steps
        self._config, self._size, self._seed, self._place, self._clips = config, size, seed, place, clips
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.vae = config.network.build().train()
        if init is None:
            start_as_pictures(self.vae)
        else:
            load(self.vae, init, rename=same_name)
        start_certain(self.vae)
        self.vae.to(place.device)
        self._part = Part(self.vae, config.optimiser, steps=config.steps, ema=config.ema)
        self.parts: Mapping[str, Part] = {"vae": self._part}

    def step(self, step: int) -> dict[str, float]:
        phase, share, device = self._config.phase(step), self._place.share, self._place.device
        batch = draw_batch(phase, self._size, seed=self._seed, step=step, share=share, clips=self._clips)
        draws = Draws(self._seed, self.name, step, batch=share.world, share=share, device=device)
        with single_frames_are_pictures():
            parts = loss(self.vae, batch, kl_weight=self._config.kl_weight, draws=draws)
            parts["loss"].backward()
        return {name: part.item() for name, part in parts.items()} | self._part.step(step)

    def result(self) -> Mapping[str, Tensor]:
        """The averaged weights, with the latents' mean and deviation folded in, so that latents come normalised."""
        with self._part.ema.applied():
            mean, deviation = statistics(self.vae, self._size, seed=self._seed)
            tensors = {name: tensor.detach().cpu().clone() for name, tensor in self.vae.state_dict().items()}
        return folded(tensors, mean.cpu(), deviation.cpu())

    @torch.no_grad()
    def sample(self) -> Sampled:
        """What the codec, as it is, makes of pictures and clips of the training's world."""
        samples = [draw_sample(seed, Split.TRAIN, frames=17, size=self._size) for seed in range(_SHOWN)]
        conditions = [
            _pixels(torch.from_numpy(np.stack((sample.reference, sample.product))[:, None])) for sample in samples
        ]
        clips = [_pixels(torch.from_numpy(sample.clip[None])) for sample in samples]
        return Sampled(
            conditions=torch.stack([means(self.vae, pixels.to(self._place.device))[:, :, 0] for pixels in conditions]),
            video=torch.stack([means(self.vae, pixels.to(self._place.device))[0].transpose(0, 1) for pixels in clips]),
        )


def draw_batch(
    phase: CodecPhase, size: tuple[int, int], *, seed: int, step: int, share: Share, clips: Clips | None = None
) -> VaeBatch:
    """This process's part of what a step sees: a function of (seed, step), and of `clips` where there are any."""
    pictures, cut = [], []
    for number in range(*share.rows(phase.samples * share.world).indices(phase.samples * share.world)):
        random = np.random.default_rng((seed, step, number))
        streams = _drawn(random, phase, size) if clips is None else clips.stream(int(random.integers(len(clips))))
        clip = streams.clip[0]
        first = int(random.integers(len(clip) - phase.frames + 1))
        clip = clip[first : first + phase.frames]
        pictures += [streams.reference[0], clip[0] if number % 2 else streams.product[0]]
        rows, columns = (_part(random, whole, part) for whole, part in zip(size, phase.crop, strict=True))
        cut.append(clip[:, rows, columns])
    return VaeBatch(
        pictures=torch.from_numpy(np.stack(pictures)[:, None]),
        clips=None if phase.frames == 1 else torch.from_numpy(np.stack(cut)),
    )


def _drawn(random: np.random.Generator, phase: CodecPhase, size: tuple[int, int]) -> Streams:
    sample = draw_sample(int(random.integers(2**62)), Split.TRAIN, frames=phase.frames, size=size)
    return Streams(reference=sample.reference[None], product=sample.product[None], clip=sample.clip[None], captions=())


def start_as_pictures(vae: AutoencoderKLWan) -> None:
    """Begin as a codec of single pictures: taps on the past are zero, and time is halved and doubled by repetition.

    What is learnt from pictures then serves clips from their first step on.
    """
    with torch.no_grad():
        for layer in vae.modules():
            if isinstance(layer, WanCausalConv3d) and layer.kernel_size[0] > 1:
                layer.weight[:, :, :-1] = 0
                if layer.kernel_size[1] == 1:  # over time alone: in a resampling layer
                    repeats = layer.out_channels // layer.in_channels
                    layer.weight[:, :, -1, 0, 0] = torch.eye(layer.in_channels).repeat(repeats, 1)
                    layer.bias.zero_()


def start_certain(vae: AutoencoderKLWan) -> None:
    """Let the posterior begin narrow, everywhere and in every channel.

    One that begins wide is noise to a decoder that knows nothing yet: the KL term then closes channels for good, and
    a third of them never carried anything.
    """
    with torch.no_grad():
        vae.quant_conv.weight.chunk(2)[1].zero_()
        vae.quant_conv.bias.chunk(2)[1].fill_(_LOG_VARIANCE)


def loss(vae: AutoencoderKLWan, batch: VaeBatch, *, kl_weight: float, draws: Draws) -> dict[str, Tensor]:
    """The weighted sum, `loss`, and its parts; PSNR in dB for people."""
    parts: dict[str, list[Tensor]] = {}
    for frames in (batch.pictures, batch.clips):
        if frames is None:
            continue
        pixels = _pixels(frames.to(draws.device))
        mean, log_variance = vae._encode(pixels).chunk(2, dim=1)
        log_variance = log_variance.clamp(-20, 10)
        noise = draws.normal(*mean.shape)[0]
        error = decoded(vae, mean + torch.exp(0.5 * log_variance) * noise) - pixels
        parts.setdefault("absolute", []).append(error.abs().mean())
        parts.setdefault("edges", []).append(_edges(error))
        parts.setdefault("kl", []).append(0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean())
        parts.setdefault("psnr", []).append(psnr(error.detach()))
    found = {name: torch.stack(values).mean() for name, values in parts.items()}
    return {"loss": found["absolute"] + found["edges"] + kl_weight * found["kl"]} | found


def means(vae: AutoencoderKLWan, pixels: Tensor) -> Tensor:
    """Latents [B, C, F, h, w] of pixels [B, 3, 1 + 4 (F - 1), H, W]: the posterior's mean, not normalised."""
    latent: Tensor = vae._encode(pixels).chunk(2, dim=1)[0]
    return latent


def decoded(vae: AutoencoderKLWan, latent: Tensor) -> Tensor:
    """Pixels [B, 3, T, H, W] of unnormalised latents; not clamped, as a clamp has no gradient outside."""
    vae.clear_cache()
    x = vae.post_quant_conv(latent)
    parts = []
    for i in range(x.shape[2]):
        vae._conv_idx = [0]
        part = vae.decoder(x[:, :, i : i + 1], feat_cache=vae._feat_map, feat_idx=vae._conv_idx, first_chunk=i == 0)
        parts.append(part)
    vae.clear_cache()
    pixels: Tensor = unpatchify(torch.cat(parts, 2), vae.config.patch_size)
    return pixels


@torch.no_grad()
def statistics(vae: AutoencoderKLWan, size: tuple[int, int], *, seed: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C] of the latents of clips, references and products."""
    device = next(vae.parameters()).device
    latents = []
    for number in range(_STATISTICS_CLIPS):
        sample_seed = int(np.random.default_rng((seed, number)).integers(2**62))
        sample = draw_sample(sample_seed, Split.TRAIN, frames=17, size=size)
        pictures = np.stack((sample.reference, sample.product))[:, None]
        latents += [
            means(vae, _pixels(torch.from_numpy(pixels).to(device))).transpose(0, 1).flatten(1)
            for pixels in (sample.clip[None], pictures)
        ]
    deviation, mean = torch.std_mean(torch.cat(latents, dim=1), dim=1)
    return mean, deviation


def folded(tensors: Mapping[str, Tensor], mean: Tensor, deviation: Tensor) -> dict[str, Tensor]:
    """The same codec with latents (z - mean) / deviation; `quant_conv` gives means and log variances, C each."""
    weight, bias = tensors["quant_conv.weight"], tensors["quant_conv.bias"]
    scale = torch.cat((1 / deviation, torch.ones_like(deviation)))
    shift = torch.cat((-mean / deviation, -2 * deviation.log()))
    back = tensors["post_quant_conv.weight"]
    return dict(tensors) | {
        "quant_conv.weight": weight * scale.view(-1, 1, 1, 1, 1),
        "quant_conv.bias": bias * scale + shift,
        "post_quant_conv.weight": back * deviation.view(1, -1, 1, 1, 1),
        "post_quant_conv.bias": tensors["post_quant_conv.bias"] + back.flatten(1) @ mean,
    }


@contextmanager
def single_frames_are_pictures() -> Iterator[None]:
    """Within, a causal convolution over one frame without a past uses its newest tap only: the others see zeros."""
    whole = WanCausalConv3d.forward

    def forward(self: WanCausalConv3d, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
        if cache_x is not None or x.shape[2] > 1 or self.kernel_size[0] == 1 or self._padding[4] == 0:
            result: Tensor = whole(self, x, cache_x)
            return result
        return F.conv3d(F.pad(x, (*self._padding[:4], 0, 0)), self.weight[:, :, -1:], self.bias, self.stride)

    WanCausalConv3d.forward = forward
    try:
        yield
    finally:
        WanCausalConv3d.forward = whole


def psnr(error: Tensor) -> Tensor:
    """In dB, of errors of pixels in [-1, 1]."""
    return 10 * torch.log10(4 / error.square().mean())


def _edges(error: Tensor) -> Tensor:
    """The mean absolute difference between the errors of neighbouring pixels, down and across."""
    return (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()) / 2


def _part(random: np.random.Generator, whole: int, part: int) -> slice:
    first = int(random.integers((whole - part) // _STRIDE + 1)) * _STRIDE
    return slice(first, first + part)


def _pixels(frames: Tensor) -> Tensor:
    """[B, T, H, W, 3] uint8 -> [B, 3, T, H, W] in [-1, 1]."""
    return frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
