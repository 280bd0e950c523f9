"""The HorizontalPodAutoscaler as Kubernetes computes it, over the signals of a policy.

Sessions over capacity are an external metric of type AverageValue: wanted = ceil(sessions / (capacity * target)),
whatever is ready. Shares and times are of type Value: wanted = ceil(ready pods * value / target). Within the tolerance
nothing changes; the largest wish of all signals counts; a smaller number waits until it has been wished for
`down_window_s`.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from simulation.clock import Clock, Process
from simulation.deployment import Deployment
from simulation.gateway import Books
from simulation.pods import Backend, Load
from simulation.scenario import Autoscaler, Policy

GUARD_STEP = 1.25
"""A guard (slow, late, rejected) wishes for a quarter more than is ready, at most: its value says that something is
wrong, not how much is missing."""
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    at_s: float
    load: Load
    refusals: int
    admitted: int


class HorizontalPodAutoscaler:
    def __init__(
        self,
        clock: Clock,
        settings: Autoscaler,
        policy: Policy,
        *,
        blocks: int,
        backend: Backend,
        deployment: Deployment,
        books: Books,
    ) -> None:
        self._clock, self._settings, self._policy, self._blocks = clock, settings, policy, blocks
        self._backend, self._deployment, self._books = backend, deployment, books
        self._samples: deque[_Sample] = deque()
        self._wishes: deque[tuple[float, int]] = deque()
        self._sizes: deque[tuple[float, int]] = deque()
        self._looks = 0
        self._utilisation = 0.0

    @property
    def mean_utilisation(self) -> float:
        """Of the pods that served, over all looks."""
        return self._utilisation / max(1, self._looks)

    def run(self) -> Process:
        """A simpy process: look, wish, scale, every `sync_s`."""
        while True:
            yield self._clock.timeout(self._settings.sync_s)
            self._look()
            if self._policy.pods is None and (seen := self._seen()):
                self._scale(self._wish(seen))

    def _look(self) -> None:
        now, books = self._clock.now, self._books
        load = self._backend.load(now)
        self._looks += 1
        self._utilisation += load.utilisation
        self._samples.append(_Sample(at_s=now, load=load, refusals=books.refusals, admitted=books.admitted))
        oldest_s = now - self._settings.metric_age_s - self._settings.window_s
        while self._samples[0].at_s < oldest_s:
            self._samples.popleft()

    def _seen(self) -> list[_Sample]:
        """What monitoring shows: a window that ends some time ago."""
        newest_s = self._clock.now - self._settings.metric_age_s
        return [sample for sample in self._samples if sample.at_s <= newest_s]

    def _wish(self, seen: list[_Sample]) -> int:
        policy, replicas, ready = self._policy, self._deployment.replicas, len(self._deployment.ready)
        tolerance = self._settings.tolerance

        def by_value(value: float, target: float, most: float = math.inf) -> int:
            ratio = min(value / target, most)
            return replicas if abs(ratio - 1.0) <= tolerance else math.ceil(ratio * ready)

        def mean(name: str) -> float:
            return sum(float(getattr(sample.load, name)) for sample in seen) / len(seen)

        wishes = []
        if policy.sessions is not None:
            wanted = seen[-1].load.sessions / (self._blocks * policy.sessions)
            wishes.append(replicas if abs(wanted / replicas - 1.0) <= tolerance else math.ceil(wanted))
        if policy.utilisation is not None:
            wishes.append(by_value(mean("utilisation"), policy.utilisation))
        if policy.queue_s is not None:
            wishes.append(by_value(mean("queue_s"), policy.queue_s))
        if policy.slow is not None:
            wishes.append(by_value(mean("slow"), policy.slow, GUARD_STEP))
        if policy.late is not None:
            wishes.append(by_value(mean("late"), policy.late, GUARD_STEP))
        if policy.rejected is not None:
            refusals = seen[-1].refusals - seen[0].refusals
            answers = refusals + seen[-1].admitted - seen[0].admitted
            wishes.append(by_value(refusals / answers if answers else 0.0, policy.rejected, GUARD_STEP))
        return max(wishes)

    def _scale(self, wish: int) -> None:
        now, settings, replicas = self._clock.now, self._settings, self._deployment.replicas
        if not self._wishes:
            self._wishes.append((now, replicas))
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - settings.down_window_s:
            self._wishes.popleft()
        self._sizes.append((now, replicas))
        while self._sizes[0][0] < now - _MINUTE_S:
            self._sizes.popleft()
        wanted = wish if wish >= replicas else min(replicas, max(size for _, size in self._wishes))
        before = self._sizes[0][1]
        highest = math.ceil(before * (1.0 + settings.up_percent_per_minute / 100.0))
        lowest = math.floor(before * (1.0 - settings.down_percent_per_minute / 100.0))
        wanted = min(max(wanted, min(lowest, replicas)), max(highest, replicas))
        wanted = min(max(wanted, settings.least_pods), settings.most_pods)
        if wanted != replicas:
            self._deployment.scale(wanted)
