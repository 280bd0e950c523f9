"""What an autoscaler wishes for: Kubernetes' arithmetic over the policies' signals."""

from typing import Any

import pytest

from simulation.autoscaler import HorizontalPodAutoscaler
from simulation.clock import Clock
from simulation.gateway import Books
from simulation.pods import Load, Pod
from simulation.scenario import Autoscaler, Policy

CALM = {"utilisation": 0.5, "queue_s": 0.0, "slow": 0.0, "late": 0.0}


class FakeDeployment:
    """As many ready pods as were asked for at first; what is asked for later never gets ready."""

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas
        self.ready = [object()] * replicas

    def scale(self, replicas: int) -> None:
        self.replicas = replicas


class FakeBackend:
    def __init__(self, **load: Any) -> None:
        self.now = Load(**({"sessions": 0} | CALM | load))

    def load(self, now: float) -> Load:
        return self.now

    def pod(self) -> Pod:
        raise AssertionError("the autoscaler makes no pods")


def scaled(
    policy: dict[str, Any], *, replicas: int, seconds: float = 600, books: Books | None = None, **load: Any
) -> int:
    """Replicas after some time under a constant load."""
    clock, deployment = Clock(), FakeDeployment(replicas)
    scaler = HorizontalPodAutoscaler(
        clock,
        Autoscaler(least_pods=1, most_pods=1000),
        Policy.model_validate(policy),
        blocks=2,
        backend=FakeBackend(**load),
        deployment=deployment,  # type: ignore[arg-type]
        books=books or Books(),
    )
    clock.process(scaler.run())
    clock.run(until=seconds)
    return deployment.replicas


def test_sessions_ask_for_pods_whatever_is_ready() -> None:
    assert scaled({"sessions": 0.5}, replicas=10, sessions=30) == 30


def test_nothing_changes_within_the_tolerance() -> None:
    assert scaled({"sessions": 0.5}, replicas=20, sessions=21) == 20


def test_shares_ask_for_a_multiple_of_what_is_ready_and_do_not_run_away_while_pods_start() -> None:
    assert scaled({"utilisation": 0.25}, replicas=10) == 20


@pytest.mark.parametrize("guard", ["slow", "late"])
def test_a_guard_asks_for_a_quarter_more_than_is_ready_at_most(guard: str) -> None:
    assert scaled({guard: 0.05}, replicas=8, **{guard: 0.9}) == 10


def test_the_largest_wish_counts() -> None:
    assert scaled({"sessions": 0.5, "utilisation": 0.25}, replicas=10, sessions=5) == 20


def test_down_waits_for_its_window_then_goes_by_a_tenth_a_minute() -> None:
    policy = {"sessions": 0.5}
    assert scaled(policy, replicas=100, sessions=20, seconds=300) == 100
    after_minutes = scaled(policy, replicas=100, sessions=20, seconds=300 + 120)
    assert 75 <= after_minutes <= 90


def test_a_fixed_number_of_pods_stays() -> None:
    assert scaled({"pods": 7}, replicas=7, sessions=100) == 7
