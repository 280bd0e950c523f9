"""Viewers at the gateway: asking, being let in or refused, leaving; and the books about it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from simulation.clock import Clock, Process
from simulation.demand import Visit
from simulation.deployment import Deployment
from simulation.fleet_pod import FleetPod, Stay
from simulation.pods import Outcome
from simulation.scenario import Gateway, Objectives

_NO_POD_RETRY_S = 5.0


@dataclass(slots=True)
class Books:
    """Counts of a day. A session is in exactly one of: turned away, open, completed, drained, lost."""

    asked: int = 0
    """Sessions that wanted to be."""
    turned_away: int = 0
    admitted: int = 0
    refusals: int = 0
    """Answers SESSION_CAPACITY or ENGINE_DOWN; a session may get several."""
    given_up: int = 0
    """Refused by every pod that was asked; a viewer who asks again later may be several."""
    completed: int = 0
    drained: int = 0
    lost: int = 0
    good: int = 0
    first_frame_missed: int = 0
    late_missed: int = 0
    switch_missed: int = 0
    stalled: int = 0
    watched_s: float = 0.0
    chunks: float = 0.0
    late_chunks: int = 0


class Viewers:
    """Every session of the day."""

    def __init__(
        self, clock: Clock, gateway: Gateway, objectives: Objectives, *, rng: random.Random, deployment: Deployment
    ) -> None:
        self._clock, self._gateway, self._objectives, self._rng = clock, gateway, objectives, rng
        self._deployment = deployment
        self.books = Books()

    def come(self, visits: Iterator[Visit]) -> Process:
        """A simpy process: each visit at its time."""
        for visit in visits:
            yield self._clock.timeout(max(0.0, visit.at_s - self._clock.now))
            self.books.asked += 1
            self._ask(visit, self._clock.now)

    def interrupted(self, stay: Stay, why: str) -> None:
        """The service ends the session, not its viewer: `why` is drained or lost."""
        self._end(stay, why)

    # Inside

    def _ask(self, visit: Visit, asked_s: float) -> None:
        now, retry_s, tried = self._clock.now, _NO_POD_RETRY_S, set[FleetPod]()
        for _ in range(self._gateway.attempts):
            pod = self._choose(tried)
            if pod is None:
                break
            tried.add(pod)
            refused_s = pod.engine.open(visit, now)
            if refused_s is None:
                self._admitted(Stay(visit, asked_s, now, pod))
                return
            self.books.refusals += 1
            retry_s = refused_s
        self.books.given_up += 1
        if now + retry_s - asked_s <= self._gateway.patience_s:
            self._clock.after(retry_s, lambda: self._ask(visit, asked_s))
        else:
            self.books.turned_away += 1

    def _choose(self, tried: set[FleetPod]) -> FleetPod | None:
        """Of some ready pods at random, the one with the fewest sessions."""
        ready, best = self._deployment.ready, None
        for _ in range(self._gateway.choices):
            if not ready:
                return None
            pod = ready[int(self._rng.random() * len(ready))]
            if pod not in tried and (best is None or len(pod.stays) < len(best.stays)):
                best = pod
        return best

    def _admitted(self, stay: Stay) -> None:
        self.books.admitted += 1
        stay.pod.stays[stay.visit.number] = stay
        self._clock.after(stay.visit.length_s, lambda: self._end(stay, "completed"))

    def _end(self, stay: Stay, how: str) -> None:
        if stay.over:
            return
        stay.over = True
        books, now = self.books, self._clock.now
        outcome = stay.pod.engine.close(stay.visit, now)
        self._deployment.left(stay)
        books.watched_s += now - stay.admitted_s
        books.chunks += outcome.chunks
        books.late_chunks += outcome.late
        if how == "completed":
            books.completed += 1
        elif how == "drained":
            books.drained += 1
        else:
            books.lost += 1
        self._judge(stay, outcome, wished=how == "completed")

    def _judge(self, stay: Stay, outcome: Outcome, *, wished: bool) -> None:
        books, objectives = self.books, self._objectives
        waited_s = stay.admitted_s - stay.asked_s
        first_missed = outcome.first_frame_s is not None and waited_s + outcome.first_frame_s > objectives.first_frame_s
        late_missed = outcome.late > objectives.late_share * outcome.chunks
        switch_missed = outcome.switches_late > 0
        books.first_frame_missed += first_missed
        books.late_missed += late_missed
        books.switch_missed += switch_missed
        books.stalled += stay.stalled
        books.good += wished and not (first_missed or late_missed or switch_missed or stay.stalled)
