"""Consistency distillation: a network that is consistent already has nothing to learn."""

import torch

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
