"""Teacher forcing: the recorded mask, dead weight, timesteps, and the rollout it trains for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

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


def test_samples_go_through_the_cache_in_the_preset_number_of_chunks(scene: Scene) -> None:
    networks = Networks.untrained(TINY, CPU).frozen()
    batch = scene.source.draw(0)
    video = forcing.sample(networks, TINY, batch, Draws("sample", batch=batch.size))
    assert video.shape == batch.video.shape
    assert video.isfinite().all()
