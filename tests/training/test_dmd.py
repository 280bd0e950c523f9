"""Gradient-reweighted DMD: weights of eq. 6, the direction of the gradient, rollouts as in a session."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from student.dit import CausalDiT
from student.rollout import LatentStream
from training import dmd, teacher
from training.batch import LatentBatch
from training.dmd import Scores, frame_weights, matching_loss, rollout, score_gradient
from training.draws import Draws
from training.networks import Networks
from training.presets import TINY, Preset
from training.stage import Scene

CPU = torch.device("cpu")
LAST = len(TINY.schedule.denoising_passes()) - 1


class Exit(Draws):
    """Draws with a chosen exit step."""

    at = LAST

    def common(self, high: int) -> int:
        return self.at


def _random_networks() -> Networks:
    networks = Networks.untrained(TINY, CPU)
    torch.nn.init.normal_(networks.network.head.head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return networks


def test_frames_weigh_by_the_softmax_of_their_lack_of_reward_and_one_on_average() -> None:
    reward = torch.tensor([[0.9, 0.5, 0.7], [0.2, 0.2, 0.2]])
    weights = frame_weights(reward, 0.2)
    want = torch.exp(-reward[0] / 0.2)
    torch.testing.assert_close(weights[0], 3 * want / want.sum())
    assert weights[0].argmax() == 1
    torch.testing.assert_close(weights[1], torch.ones(3))
    torch.testing.assert_close(weights.mean(dim=1), torch.ones(2))


def test_vanilla_dmd_weighs_all_frames_the_same() -> None:
    assert torch.equal(frame_weights(torch.rand(2, 3), None), torch.ones(2, 3))


def test_the_losss_gradient_is_the_given_one_times_the_frames_weight() -> None:
    generated, gradient = torch.randn(2, 2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    generated.requires_grad_()
    weights = frame_weights(torch.rand(2, 3, generator=torch.Generator().manual_seed(1)), 0.2)
    matching_loss(generated, gradient, weights).backward()
    want = gradient * weights[:, :, None, None, None] / generated.numel()
    torch.testing.assert_close(generated.grad, want, atol=1e-7, rtol=1e-4)


def test_the_gradient_is_measured_in_distances_from_the_teachers_estimate() -> None:
    generated, real, fake = torch.zeros(1, 1, 1, 1, 2), torch.full((1, 1, 1, 1, 2), 2.0), torch.ones(1, 1, 1, 1, 2)
    assert score_gradient(generated, real, fake).flatten().tolist() == [-0.5, -0.5]


class Points:
    """In place of a backbone: the exact score of a distribution that is one point, whatever it sees."""

    def __init__(self, point: float) -> None:
        self.point = point

    def attend_all(self, latent: Tensor, timestep: Tensor, _text: Tensor, _position: Tensor) -> Tensor:
        sigma = (timestep[:, -1] / 1000).clamp(min=1e-3).view(-1, 1, 1, 1, 1)
        return (latent - self.point) / sigma


def test_descent_takes_the_student_from_its_own_point_to_the_teachers() -> None:
    """Where both scores are known: data at 2, the student's clips at x, and the fake score knows x."""
    x = torch.full((4, 3, 2, 2, 2), -1.0, requires_grad=True)
    conditions, text = torch.zeros(4, 2, 2, 2, 2), torch.zeros(4, 1, 1)
    for step in range(60):
        scores = Scores(real=Points(2.0), fake=Points(x.mean().item()))  # type: ignore[arg-type]
        draws = Draws(step, batch=4)
        gradient = scores.gradient(x.detach(), conditions, text, text, draws, replace(TINY.dmd, guidance=0.0))
        matching_loss(x, gradient, torch.ones(4, 3)).backward()
        assert x.grad is not None
        if step == 0:
            assert (x.grad < 0).all()  # descent raises x
        with torch.no_grad():
            x -= 0.1 * x.numel() * x.grad
        x.grad = None
    # The gradient's size is that of a sign near the goal, so descent hovers about it.
    assert (x - 2).abs().max() < 0.6


def test_a_rollout_to_the_last_step_is_what_a_session_samples(scene: Scene) -> None:
    networks = _random_networks().frozen()
    batch = scene.source.draw(0)
    context = networks.context(batch.captions, TINY)
    got = rollout(networks.network, TINY, batch, context, Exit("rollout", batch=batch.size))
    draws = Draws("rollout", batch=batch.size)
    stream = LatentStream(
        networks.network,
        TINY.geometry,
        noise=lambda _segment, _chunk, _index, shape: draws.normal(*shape[1:]),
        batch=batch.size,
    )
    stream.start(batch.reference, batch.garment, context)
    want = torch.cat([stream.chunk() for _ in range(TINY.chunks)], dim=1)
    assert torch.equal(got, want)


@pytest.mark.parametrize("at", range(LAST + 1))
def test_a_rollout_has_its_gradient_through_each_chunks_last_pass_and_no_other(scene: Scene, at: int) -> None:
    networks = _random_networks()
    batch = scene.source.draw(0)
    with torch.no_grad():
        context = networks.context(batch.captions, TINY)
    learning = []
    real = networks.network.forward

    def spy(*inputs):  # type: ignore[no-untyped-def]
        learning.append(torch.is_grad_enabled())
        return real(*inputs)

    networks.network.forward = spy  # type: ignore[method-assign]
    draws = Exit("rollout", batch=batch.size)
    draws.at = at
    video = rollout(networks.network, TINY, batch, context, draws)
    a_chunk = [False] * at + [True, False]  # and the clean pass
    assert learning == [False, *a_chunk * TINY.chunks]
    video.square().mean().backward()
    assert all(parameter.grad is not None for parameter in networks.network.blocks.parameters())


def test_a_chunks_gradient_does_not_reach_back_into_the_chunks_before(scene: Scene) -> None:
    networks = _random_networks()
    batch = scene.source.draw(0)
    with torch.no_grad():
        context = networks.context(batch.captions, TINY)
    entered: list[Tensor] = []
    real = LatentStream.denoise

    class Entering(LatentStream):
        def denoise(self, plan, step, clean):  # type: ignore[no-untyped-def]
            out, flow = real(self, plan, step, clean)
            if out.requires_grad:
                out.retain_grad()
                entered.append(out)
            return out, flow

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dmd, "LatentStream", Entering)
        video = rollout(networks.network, TINY, batch, context, Exit("rollout", batch=batch.size))
    video[:, -TINY.geometry.chunk_frames :].square().mean().backward()
    assert [chunk.grad is not None and bool(chunk.grad.any()) for chunk in entered] == [False, False, True]


@pytest.mark.parametrize(("uses", "rollouts"), [(1, 5), (2, 3), (5, 1)])
def test_a_rollout_serves_as_many_steps_of_the_fake_score_as_the_preset_says(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, uses: int, rollouts: int
) -> None:
    dmd_config = replace(TINY.dmd, critic_steps=5, rollout_uses=uses)
    scene = replace(scene, preset=replace(TINY, dmd=dmd_config))
    generator, real, fake = (_random_networks() for _ in range(3))
    stage = dmd.DmdStage(scene, generator=generator, real=real, fake=fake, reward=None)
    made: list[Tensor] = []

    def noted(*inputs):  # type: ignore[no-untyped-def]
        made.append(rollout(*inputs))
        return made[-1]

    monkeypatch.setattr(dmd, "rollout", noted)
    stage.step(0)
    assert [video.requires_grad for video in made] == [*[False] * rollouts, True]


AT, LEADS_TO, LEADS_TO_WITHOUT_TEXT, FAKE_LEADS_TO = 1.5, 2.0, 1.8, 1.0
"""Where the student's clips lie, and where the scores lead."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One pass of a score."""

    real: bool
    empty: bool
    x: Tensor
    sigma: Tensor


class Stubbed:
    """A stage whose clips are all `AT`, and whose scores lead where the constants say; notes what they are asked."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch, *, reward: Tensor | None, **changes: Any) -> None:
        self.preset = replace(TINY, dmd=replace(TINY.dmd, critic_steps=3, **changes))
        self.networks = generator, real, fake = [Networks.untrained(TINY, CPU) for _ in range(3)]
        self.asked: list[Asked] = []
        self.batches: list[Tensor] = []
        self.losses: list[tuple[Tensor, Tensor, Tensor]] = []
        empty = generator.context([""], TINY)

        def at(network: CausalDiT, preset: Preset, batch: LatentBatch, *_: object) -> Tensor:
            self.batches.append(batch.reference)
            return torch.full_like(batch.video, AT) + 0 * network.head.head.bias.sum()

        def flow(network: CausalDiT, _conditions: Tensor, x: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
            without = torch.equal(text, empty.expand_as(text))
            self.asked.append(Asked(real=network is real.network, empty=without, x=x, sigma=sigma))
            goal = (LEADS_TO_WITHOUT_TEXT if without else LEADS_TO) if network is real.network else FAKE_LEADS_TO
            if torch.is_grad_enabled():  # the fake score learns, and knows where the clips lie
                goal = AT
            return (x - goal) / sigma[:, :, None, None, None] + 0 * network.head.head.bias.sum()

        def noted(*inputs: Tensor) -> Tensor:
            self.losses.append(inputs)
            return matching_loss(*inputs)

        monkeypatch.setattr(dmd, "rollout", at)
        monkeypatch.setattr(teacher, "video_flow", flow)
        monkeypatch.setattr(dmd, "matching_loss", noted)
        self.stage = dmd.DmdStage(
            replace(scene, preset=self.preset),
            generator=generator,
            real=real,
            fake=fake,
            reward=None if reward is None else lambda _clips: reward,
        )


def test_the_fake_score_learns_the_flow_to_the_students_clips_at_noise_of_its_own_in_every_step(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubbed = Stubbed(scene, monkeypatch, reward=None, rollout_uses=3)
    assert stubbed.stage.step(0)["critic_loss"] < 1e-6  # what leads there has nothing to learn
    stubbed.stage.step(1)
    seen = [asked.x for asked in stubbed.asked if not asked.real]
    assert not any(torch.equal(a, b) for a, b in combinations(seen, 2))


def test_a_generator_step_goes_from_the_fake_score_to_the_guided_teacher_at_one_level_within_bounds(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubbed = Stubbed(scene, monkeypatch, reward=None, guidance=3.0, lowest=0.5, highest=0.6)
    stubbed.stage.step(0)
    asked = stubbed.asked[-3:]
    assert sorted((each.real, each.empty) for each in asked) == [(False, False), (True, False), (True, True)]
    assert all(torch.equal(each.x, asked[0].x) and torch.equal(each.sigma, asked[0].sigma) for each in asked)
    sigma = asked[0].sigma
    assert ((sigma >= 0.5) & (sigma <= 0.6)).all()
    assert torch.equal(sigma, sigma[:, :1].expand_as(sigma))  # a bidirectional score sees a clip at one level
    ((generated, gradient, _),) = stubbed.losses
    guided = LEADS_TO + 3 * (LEADS_TO - LEADS_TO_WITHOUT_TEXT)
    assert generated.requires_grad
    assert not gradient.requires_grad
    want = torch.full_like(gradient, (FAKE_LEADS_TO - guided) / (guided - AT))
    torch.testing.assert_close(gradient, want, atol=1e-4, rtol=1e-4)


def test_a_generator_step_weighs_chunks_by_their_lack_of_reward(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = scene.source.draw(0).size
    reward = torch.rand(samples, TINY.frames, generator=torch.Generator().manual_seed(0))
    stubbed = Stubbed(scene, monkeypatch, reward=reward, tau=0.2)
    assert stubbed.stage.step(0)["reward"] == pytest.approx(reward.mean().item())
    ((_, _, weights),) = stubbed.losses
    of_chunks = reward.view(samples, TINY.chunks, -1).mean(dim=2)
    want = TINY.chunks * torch.softmax(-of_chunks / 0.2, dim=1)
    got = weights.view(samples, TINY.chunks, -1)
    torch.testing.assert_close(got, want[:, :, None].expand_as(got))


def test_every_rollout_is_of_other_samples(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed = Stubbed(scene, monkeypatch, reward=None)
    for step in range(2):
        stubbed.stage.step(step)
    assert len(stubbed.batches) == 2 * (3 + 1)
    assert not any(torch.equal(a, b) for a, b in combinations(stubbed.batches, 2))
