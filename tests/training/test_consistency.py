"""Consistency distillation: a network that is consistent already has nothing to learn."""

from typing import Any

import pytest
import torch
from torch import Tensor

from student.dit import CausalDiT
from training import forcing
from training.consistency import ConsistencyStage, step_along
from training.networks import Networks
from training.presets import TINY
from training.stage import Scene

CPU = torch.device("cpu")


def test_a_step_along_a_straight_path_stays_on_it() -> None:
    clean, noise = torch.randn(2, 1, 2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    upper, lower = torch.tensor([[0.9, 0.5]]), torch.tensor([[0.7, 0.0]])
    at = [(1 - s[:, :, None, None, None]) * clean + s[:, :, None, None, None] * noise for s in (upper, lower)]
    torch.testing.assert_close(step_along(at[0], noise - clean, upper, lower), at[1])


def test_the_path_leads_down_from_the_students_level_to_where_its_average_says_what_is_right(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, path = Networks.untrained(TINY, CPU), Networks.untrained(TINY, CPU)
    stage = ConsistencyStage(scene, student=student, path=path)
    bias = student.network.head.head.bias
    asked: list[tuple[CausalDiT, bool, Tensor, Tensor]] = []

    def noted(network: CausalDiT, *inputs: Any) -> Tensor:
        sigma = inputs[4]
        asked.append((network, torch.is_grad_enabled(), sigma, network.head.head.bias.detach().clone()))
        return torch.ones_like(inputs[3]) * network.head.head.bias.sum() + 1

    monkeypatch.setattr(forcing, "video_flow", noted)
    for step in range(3):
        asked.clear()
        own = bias.detach().clone()
        averaged = stage.parts["network"].ema.state()["network.head.head.bias"].clone()
        stage.step(step)
        (along, _, upper, _), (judge, judge_learns, lower, judges_with), (learner, learns, at, learns_with) = asked
        assert (along, judge, learner) == (path.network, student.network, student.network)
        assert (judge_learns, learns) == (False, True)
        assert torch.equal(upper, at)
        assert (lower < upper).all()
        assert torch.equal(judges_with, averaged)
        assert torch.equal(learns_with, own)
    assert not torch.equal(own, averaged)


def test_a_student_that_follows_a_straight_path_has_no_loss(scene: Scene, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """With flow = (x - goal) / sigma every point leads to the goal at once."""
    networks = Networks.untrained(TINY, CPU)
    stage = ConsistencyStage(scene, student=networks, path=Networks.untrained(TINY, CPU))
    anchor = networks.network.head.head.bias

    def straight(network, layout, conditions, context, noisy, sigma, text):  # type: ignore[no-untyped-def]
        return (noisy - 1.5) / sigma.clamp(min=1e-6)[:, :, None, None, None] + 0 * anchor.sum()

    monkeypatch.setattr(forcing, "video_flow", straight)
    losses = [stage.step(step)["loss"] for step in range(3)]
    # At the path's end the estimate is the point itself, which rounding leaves next to the goal.
    assert max(losses) < 1e-6
