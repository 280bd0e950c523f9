"""Viewers who are refused, and what counts against the service."""

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from simulation.clock import Clock
from simulation.demand import Visit
from simulation.fleet_pod import FleetPod, Stay
from simulation.gateway import Books, Viewers
from simulation.pods import Outcome
from simulation.scenario import Gateway, Objectives

FINE = Outcome(first_frame_s=0.5, chunks=200, late=0, late_early=0, switches_late=0)


class ScriptedPod:
    """Answers as told, then lets everybody in."""

    def __init__(self, *answers: float | None, outcome: Outcome = FINE) -> None:
        self._answers, self._outcome = iter(answers), outcome

    def open(self, visit: Visit, now: float) -> float | None:
        return next(self._answers, None)

    def close(self, visit: Visit, now: float) -> Outcome:
        return self._outcome


def books(*pods: ScriptedPod, patience_s: float = 5.0, attempts: int = 1) -> Books:
    """After one viewer of a minute who asked at once."""
    clock = Clock()
    ready = [FleetPod(number, 0, pod) for number, pod in enumerate(pods)]  # type: ignore[arg-type]

    def left(stay: Stay) -> None:
        del stay.pod.stays[stay.visit.number]

    deployment: Any = SimpleNamespace(ready=ready, left=left)
    gateway = Gateway(choices=1, attempts=attempts, patience_s=patience_s)
    viewers = Viewers(clock, gateway, Objectives(), rng=random.Random(1), deployment=deployment)

    def one() -> Iterator[Visit]:
        yield Visit(number=0, at_s=0.0, length_s=60.0, switches_s=())

    clock.process(viewers.come(one()))
    clock.run(until=200)
    return viewers.books


def test_a_viewer_asks_again_as_long_as_patience_lasts_from_the_first_request() -> None:
    found = books(ScriptedPod(*[4.0] * 9), patience_s=9.0)
    assert (found.refusals, found.given_up, found.turned_away, found.admitted) == (3, 3, 1, 0)


def test_a_pod_that_refused_is_not_asked_again_for_the_same_request() -> None:
    assert books(ScriptedPod(*[9.0] * 9), attempts=5).refusals == 1


def test_the_first_frame_counts_from_the_first_request() -> None:
    assert books(ScriptedPod()).first_frame_missed == 0
    assert books(ScriptedPod(4.0)).first_frame_missed == 1


@pytest.mark.parametrize(("late", "missed"), [(2, 0), (3, 1)])
def test_a_share_of_the_chunks_may_be_late(late: int, missed: int) -> None:
    outcome = Outcome(first_frame_s=0.5, chunks=200, late=late, late_early=0, switches_late=0)
    found = books(ScriptedPod(outcome=outcome))
    assert (found.late_missed, found.good, found.watched_s) == (missed, 1 - missed, 60)
