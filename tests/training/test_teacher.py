"""The teacher: clean conditions, dropped texts, guidance, a sampler that follows the flow."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from training import teacher
from training.draws import Draws
from training.networks import Networks
from training.presets import TINY
from training.stage import Scene

CPU = torch.device("cpu")


class Recorder:
    """In place of the backbone: notes what it is given; its flow points from `goal` to whatever it sees."""

    def __init__(self, goal: Tensor) -> None:
        self.goal = goal
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def attend_all(self, latent: Tensor, timestep: Tensor, text: Tensor, position: Tensor) -> Tensor:
        self.seen.append((timestep, text, position))
        sigma = (timestep[:, -1] / 1000).view(-1, 1, 1, 1, 1)
        return (latent - self.goal) / sigma


def test_conditions_are_clean_and_come_first(scene: Scene) -> None:
    batch = scene.source.draw(0)
    network = Recorder(torch.zeros(()))
    sigma = torch.full(batch.video.shape[:2], 0.8334)
    flow = teacher.video_flow(network, batch.conditions, batch.video, sigma, torch.zeros(1))  # type: ignore[arg-type]
    assert flow.shape == batch.video.shape
    timestep, _, position = network.seen[0]
    assert timestep[0].tolist() == [0, 0, *[833] * TINY.frames]
    assert position[0].tolist() == list(range(2 + TINY.frames))


def test_a_flow_from_the_noisy_clip_to_the_clean_one_has_no_loss(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, levels = scene.source.draw(0), []

    def exact(_network, _conditions, noisy, sigma, _text):  # type: ignore[no-untyped-def]
        levels.append(sigma)
        return (noisy - batch.video) / sigma[:, :, None, None, None]

    monkeypatch.setattr(teacher, "video_flow", exact)
    assert teacher.loss(Networks.untrained(TINY, CPU), TINY, batch, Draws("exact", batch=batch.size)) < 1e-6
    assert torch.equal(levels[0], levels[0][:, :1].expand_as(levels[0]))  # one level a clip


def test_guidance_goes_from_the_empty_text_past_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    flows = {"prompt": torch.tensor(5.0), "empty": torch.tensor(3.0)}
    monkeypatch.setattr(teacher, "video_flow", lambda _network, _conditions, _video, _sigma, text: flows[text])
    none = torch.zeros(())
    got = [
        teacher.guided_flow(none, none, none, none, "prompt", "empty", guidance=guidance)  # type: ignore[arg-type]
        for guidance in (0.0, 3.0)
    ]
    assert got == [5.0, 5.0 + 3.0 * (5.0 - 3.0)]


def test_a_tenth_of_the_texts_is_left_out_and_no_picture(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[str] = []
    monkeypatch.setattr(Networks, "context", lambda _self, given, _preset: captions.extend(given) or torch.zeros(8, 1))
    monkeypatch.setattr(teacher, "video_flow", lambda _n, conditions, video, *_: kept.append(conditions) or video)
    kept: list[Tensor] = []
    batch = scene.source.draw(0)
    networks = Networks.untrained(TINY, CPU)
    for step in range(100):
        teacher.loss(networks, TINY, batch, Draws(step, batch=batch.size))
    assert 0.07 < captions.count("") / len(captions) < 0.13
    assert all(torch.equal(conditions, batch.conditions) for conditions in kept)


def test_the_sampler_arrives_where_the_flow_leads(scene: Scene) -> None:
    batch = scene.source.draw(0)
    untrained = Networks.untrained(TINY, CPU).frozen()
    networks = Networks(network=untrained.network, text_encoder=untrained.text_encoder)
    goal = torch.tensor(1.5)
    network = Recorder(goal)
    network.patch_embedding = untrained.network.patch_embedding  # type: ignore[attr-defined]
    networks = replace(networks, network=network)
    video = teacher.sample(networks, TINY, batch, Draws("sample", batch=batch.size))
    # Whole timesteps are up to a thousandth off the exact level.
    torch.testing.assert_close(video, goal.expand_as(video), atol=0.02, rtol=0)
    assert len(network.seen) == 2 * TINY.sampling_steps
