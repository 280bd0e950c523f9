"""What an autoscaler wishes for: Kubernetes' arithmetic over the policies' signals."""

from typing import Any

import pytest

from simulation.autoscaler import HorizontalPodAutoscaler
from simulation.clock import Clock, Process
from simulation.gateway import Books
from simulation.pods import Load, Pod
from simulation.scenario import Autoscaler, Policy

CALM = {"pods": 10, "sessions": 0, "utilisation": 0.5, "queue_s": 0.0, "slow": 0.0, "late": 0.0}


class FakeDeployment:
    """As many ready pods as were asked for at first; what is asked for later never gets ready."""

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas
        self.ready = [object()] * replicas

    def scale(self, replicas: int) -> None:
        self.replicas = replicas


class FakeBackend:
    """Pods of two sessions each."""

    def __init__(self, **load: Any) -> None:
        shown = CALM | load
        self.now = Load(**shown, capacity=2 * shown["pods"])

    def load(self, now: float) -> Load:
        return self.now

    def pod(self) -> Pod:
        raise AssertionError("the autoscaler makes no pods")


def scaled(
    policy: dict[str, Any],
    *,
    replicas: int,
    seconds: float = 600,
    books: Books | None = None,
    clock: Clock | None = None,
    **load: Any,
) -> int:
    """Replicas after some time under a constant load."""
    clock, deployment = clock or Clock(), FakeDeployment(replicas)
    scaler = HorizontalPodAutoscaler(
        clock,
        Autoscaler(least_pods=1, most_pods=1000),
        Policy.model_validate(policy),
        backend=FakeBackend(**load),
        deployment=deployment,  # type: ignore[arg-type]
        books=books or Books(),
    )
    clock.process(scaler.run())
    clock.run(until=seconds)
    return deployment.replicas


def test_sessions_over_capacity_ask_for_a_multiple_of_what_is_ready_and_do_not_run_away_while_pods_start() -> None:
    assert scaled({"sessions": 0.5}, replicas=10, sessions=20) == 20


def test_nothing_changes_within_the_tolerance() -> None:
    assert scaled({"sessions": 0.5}, replicas=20, pods=20, sessions=21) == 20


def test_a_device_busier_than_its_target_asks_for_more() -> None:
    assert scaled({"utilisation": 0.25}, replicas=10) == 20


@pytest.mark.parametrize("guard", ["slow", "late"])
def test_a_guard_halves_the_target_of_sessions_at_most(guard: str) -> None:
    policy = {"sessions": 0.5, guard: 0.05}
    assert scaled(policy, replicas=10, sessions=8) == 10, "0.4 of 0.5, but down is for later"
    assert scaled(policy, replicas=10, sessions=8, **{guard: 0.025}) == 12
    assert scaled(policy, replicas=10, sessions=8, **{guard: 0.9}) == 16


def test_a_guard_alone_asks_for_twice_the_pods_at_most() -> None:
    assert scaled({"slow": 0.05}, replicas=8, slow=0.9) == 16


def test_refusals_count_as_a_share_of_all_answers() -> None:
    books = Books()
    books.refusals, books.admitted = 1000, 1000
    assert scaled({"rejected": 0.1}, replicas=10, seconds=500, books=books) == 10, "what was refused long ago is past"


def test_a_guard_sees_the_refusals_of_its_window() -> None:
    """One in twenty of those who ask, and of a limit of one in ten half."""
    clock, books = Clock(), Books()

    def visitors() -> Process:
        while True:
            yield clock.timeout(1.0)
            books.refusals, books.admitted = books.refusals + 1, books.admitted + 19

    clock.process(visitors())
    policy = {"sessions": 0.5, "rejected": 0.1}
    assert scaled(policy, replicas=10, sessions=8, books=books, clock=clock) == 12


def test_the_largest_wish_counts() -> None:
    assert scaled({"sessions": 0.5, "utilisation": 0.25}, replicas=10, sessions=5) == 20


def test_up_goes_by_a_half_or_eight_pods_a_minute() -> None:
    assert scaled({"sessions": 0.5}, replicas=10, sessions=40, seconds=100) == 10 + 8
    assert scaled({"sessions": 0.5}, replicas=100, pods=100, sessions=400, seconds=100) == 150


def test_down_waits_for_its_window_then_goes_by_a_tenth_in_five_minutes() -> None:
    policy = {"sessions": 0.5}
    assert scaled(policy, replicas=100, pods=100, sessions=20, seconds=600) == 100
    assert scaled(policy, replicas=100, pods=100, sessions=20, seconds=720) == 90
    assert scaled(policy, replicas=100, pods=100, sessions=20, seconds=1100) == 81
    assert scaled(policy, replicas=15, pods=15, sessions=3, seconds=720) == 13, "what is left, 13.5, is rounded down"


def test_a_fixed_number_of_pods_stays() -> None:
    assert scaled({"pods": 7}, replicas=7, sessions=100) == 7
