"""Teacher forcing: the recorded mask, dead weight, timesteps, and the rollout it trains for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from contract.geometry import CONDITION_FRAMES
from training import forcing
from training.draws import Draws
from training.forcing import Layout
from training.networks import Networks
from training.presets import TINY
from training.stage import Scene

GOLDEN = Path(__file__).parents[1] / "golden"
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["rollout_full", "rollout_windowed"])
def test_the_mask_is_the_recorded_one(name: str) -> None:
    recorded = load_file(GOLDEN / f"{name}.teacher.safetensors")["teacher_forcing_mask"]
    facts = json.loads((GOLDEN / f"{name}.json").read_text())
    frames = len(recorded) // facts["tokens_per_frame"] // 2
    chunk_frames = facts["frames_per_chunk"]
    layout = Layout(chunks=(frames - CONDITION_FRAMES) // chunk_frames, chunk_frames=chunk_frames, trimmed=False)
    N = facts["tokens_per_frame"]
    assert torch.equal(layout.mask.repeat_interleave(N, 0).repeat_interleave(N, 1), recorded.bool())


def test_what_is_trimmed_is_dead_weight_loss_and_gradients_are_the_same(scene: Scene) -> None:
    found = []
    for trimmed in (True, False):
        preset = replace(TINY, forcing=replace(TINY.forcing, trimmed=trimmed))
        networks = Networks.untrained(preset, CPU)
        torch.nn.init.normal_(networks.network.head.head.weight, generator=torch.Generator().manual_seed(0))
        batch = scene.source.draw(0)
        loss = forcing.loss(networks, preset, batch, Draws("trim", batch=batch.size))
        loss.backward()
        found.append((loss, [p.grad for p in networks.network.parameters() if p.grad is not None]))
    (loss, gradients), (whole_loss, whole_gradients) = found
    torch.testing.assert_close(loss, whole_loss)
    for got, want in zip(gradients, whole_gradients, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_the_trimmed_sequence_has_both_copies_at_the_same_positions() -> None:
    layout = Layout(chunks=3, chunk_frames=2)
    assert layout.positions.tolist() == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6, 7]
    assert layout.context_frames == 6
    assert replace(layout, trimmed=False).positions.tolist() == [*range(8), *range(8)]


def test_a_trained_clip_must_fit_the_window() -> None:
    with pytest.raises(ValueError, match="a clip of 8 latent frames does not fit the window of 8"):
        replace(TINY, chunks=4)


def test_noise_on_the_context_reaches_the_clean_copys_video_only(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    real = forcing.video_flow

    def spy(network, layout, conditions, context, noisy, sigma, text):  # type: ignore[no-untyped-def]
        seen.update(conditions=conditions, context=context)
        return real(network, layout, conditions, context, noisy, sigma, text)

    monkeypatch.setattr(forcing, "video_flow", spy)
    preset = replace(TINY, forcing=replace(TINY.forcing, context_noise=0.1))
    batch = scene.source.draw(0)
    forcing.loss(Networks.untrained(preset, CPU), preset, batch, Draws("context", batch=batch.size))
    assert torch.equal(seen["conditions"], batch.conditions)
    assert abs((seen["context"] - batch.video).std() - 0.1) < 0.01


def test_a_flow_from_every_noisy_frame_to_its_clean_one_has_no_loss_whatever_the_context_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, levels = scene.source.draw(0), []

    def exact(_network, _layout, _conditions, _context, noisy, sigma, _text):  # type: ignore[no-untyped-def]
        levels.append(sigma)
        return (noisy - batch.video) / sigma[:, :, None, None, None]

    monkeypatch.setattr(forcing, "video_flow", exact)
    preset = replace(TINY, forcing=replace(TINY.forcing, context_noise=0.5))
    assert forcing.loss(Networks.untrained(preset, CPU), preset, batch, Draws("exact", batch=batch.size)) < 1e-6
    by_chunk = levels[0].view(batch.size, TINY.chunks, TINY.geometry.chunk_frames)
    assert torch.equal(by_chunk, by_chunk[..., :1].expand_as(by_chunk))
    assert (by_chunk[:, 0] != by_chunk[:, 1]).any()


class Returning:
    """In place of a backbone: gives back what it is given, and notes the timesteps."""

    config = Networks.untrained(TINY, CPU).network.config

    def attend_all(self, latent: Tensor, timestep: Tensor, *_: object) -> Tensor:
        self.timestep = timestep
        return latent


@pytest.mark.parametrize("trimmed", [True, False])
def test_the_clean_copy_is_at_timestep_0_and_the_noisy_videos_flow_comes_back(scene: Scene, trimmed: bool) -> None:
    batch, network = scene.source.draw(0), Returning()
    noisy, sigma = torch.randn_like(batch.video), torch.rand(batch.video.shape[:2]).clamp(min=0.1)
    layout = Layout(chunks=TINY.chunks, chunk_frames=TINY.geometry.chunk_frames, trimmed=trimmed)
    text = torch.zeros(())
    flow = forcing.video_flow(network, layout, batch.conditions, batch.video, noisy, sigma, text)  # type: ignore[arg-type]
    assert torch.equal(flow, noisy)
    assert torch.equal(network.timestep[:, -TINY.frames :], torch.floor(1000 * sigma))
    assert not network.timestep[:, : -TINY.frames].any()


def test_samples_go_through_the_cache_in_the_preset_number_of_chunks(scene: Scene) -> None:
    networks = Networks.untrained(TINY, CPU).frozen()
    batch = scene.source.draw(0)
    video = forcing.sample(networks, TINY, batch, Draws("sample", batch=batch.size))
    assert video.shape == batch.video.shape
    assert video.isfinite().all()
