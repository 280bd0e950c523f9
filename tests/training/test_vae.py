"""The codec's stage: cheap pictures, a start that clips can build on, and latents that come normalised."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from training.checkpoints import write_tensors
from training.draws import Draws, Share
from training.place import Place
from training.presets import TINY, CodecPhase
from training.vae import (
    VaeStage,
    decoded,
    draw_batch,
    folded,
    loss,
    means,
    single_frames_are_pictures,
    start_as_pictures,
    statistics,
)

SIZE = (64, 64)
assert TINY.codec is not None
CODEC = TINY.codec


@pytest.fixture
def vae() -> AutoencoderKLWan:
    torch.manual_seed(3)
    return CODEC.network.build()


def pixels(frames: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.rand(2, 3, frames, *size, generator=torch.Generator().manual_seed(frames)) * 2 - 1


@torch.no_grad()
def test_pictures_cost_a_third_and_come_out_the_same(vae: AutoencoderKLWan) -> None:
    whole = decoded(vae, means(vae, pixels(1)))
    with single_frames_are_pictures():
        cheap = decoded(vae, means(vae, pixels(1)))
        clip = decoded(vae, means(vae, pixels(5)))
    torch.testing.assert_close(cheap, whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(clip, decoded(vae, means(vae, pixels(5))), atol=1e-5, rtol=0)


@torch.no_grad()
def test_at_the_start_a_clip_depends_on_no_past(vae: AutoencoderKLWan) -> None:
    start_as_pictures(vae)
    clip = pixels(9)
    other = clip.clone()
    other[:, :, :5] = pixels(5)
    torch.testing.assert_close(means(vae, clip)[:, :, 2], means(vae, other)[:, :, 2], atol=1e-5, rtol=0)


@torch.no_grad()
def test_folding_normalises_latents_and_leaves_pictures_alone(vae: AutoencoderKLWan) -> None:
    mean, deviation = statistics(vae, SIZE, seed=1)
    before, clip = means(vae, pixels(5)), pixels(5)
    shown = decoded(vae, before)
    vae.load_state_dict(folded(vae.state_dict(), mean, deviation))
    after = means(vae, clip)
    shape = (1, -1, 1, 1, 1)
    torch.testing.assert_close(after, (before - mean.view(shape)) / deviation.view(shape), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(decoded(vae, after), shown, atol=1e-4, rtol=0)
    again = statistics(vae, SIZE, seed=1)
    torch.testing.assert_close(again[0], torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(again[1], torch.ones_like(mean), atol=1e-4, rtol=0)


def test_two_processes_see_what_one_with_twice_the_samples_sees() -> None:
    phase = CodecPhase(until=1, samples=1, frames=5, crop=(32, 32))
    parts = [draw_batch(phase, SIZE, seed=5, step=3, share=Share(rank=rank, world=2)) for rank in (0, 1)]
    whole = draw_batch(replace(phase, samples=2), SIZE, seed=5, step=3, share=Share())
    assert torch.equal(torch.cat([part.pictures for part in parts]), whole.pictures)
    assert whole.clips is not None
    assert torch.equal(torch.cat([part.clips for part in parts if part.clips is not None]), whole.clips)


def test_the_loss_has_its_parts_and_a_gradient_for_every_weight_that_a_clip_meets(vae: AutoencoderKLWan) -> None:
    batch = draw_batch(CODEC.phases[1], SIZE, seed=1, step=0, share=Share())
    parts = loss(vae, batch, kl_weight=0.5, draws=Draws(1, batch=1))
    assert parts["loss"].item() == pytest.approx((parts["absolute"] + parts["edges"] + 0.5 * parts["kl"]).item())
    parts["loss"].backward()
    assert all(parameter.grad is not None for parameter in vae.parameters())


def test_training_shows_less_error() -> None:
    fast = replace(CODEC.optimiser, lr=0.03)
    codec = replace(CODEC, phases=(CodecPhase(until=25, samples=1, frames=1, crop=SIZE),), optimiser=fast)
    stage = VaeStage(codec, size=SIZE, seed=1, place=Place(device=torch.device("cpu")))
    errors = [stage.step(step)["absolute"] for step in range(stage.steps)]
    assert sum(errors[-5:]) < 0.85 * sum(errors[:5])
    assert set(stage.result()) == set(stage.vae.state_dict())


def test_a_codec_is_trained_on_from_its_weights_with_every_channel_open(tmp_path: Path) -> None:
    place = Place(device=torch.device("cpu"))
    first = VaeStage(CODEC, size=SIZE, seed=1, place=place)
    with torch.no_grad():
        first.vae.quant_conv.bias.chunk(2)[1].fill_(8.0)  # a posterior that says nothing
    write_tensors(tmp_path / "weights.safetensors", first.vae.state_dict())
    again = VaeStage(CODEC.continued(3), size=SIZE, seed=1, place=place, init=tmp_path / "weights.safetensors")
    assert again.steps == 3
    assert again.vae._encode(pixels(1)).chunk(2, dim=1)[1].max() < -3
    with torch.no_grad():
        torch.testing.assert_close(means(again.vae, pixels(5)), means(first.vae, pixels(5)))
