"""The HorizontalPodAutoscaler as Kubernetes computes it, over the signals of a policy.

All are external metrics of type Value: wanted = ceil(ready pods * value / target). Ready pods, not wanted ones, so that
nothing runs away while pods start. Within the tolerance nothing changes; the largest wish of all signals counts; a
smaller number waits until nothing larger was wished for `down_window_s`; `up` and `down` bound the pace.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    at_s: float
    load: Load
    refusals: int
    given_up: int
    admitted: int


class HorizontalPodAutoscaler:
    def __init__(
        self,
        clock: Clock,
        settings: Autoscaler,
        policy: Policy,
        *,
        backend: Backend,
        deployment: Deployment,
        books: Books,
    ) -> None:
        self._clock, self._settings, self._policy = clock, settings, policy
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
        self._samples.append(
            _Sample(at_s=now, load=load, refusals=books.refusals, given_up=books.given_up, admitted=books.admitted)
        )
        oldest_s = now - self._settings.metric_age_s - self._settings.window_s
        while self._samples[0].at_s < oldest_s:
            self._samples.popleft()

    def _seen(self) -> list[_Sample]:
        """What monitoring shows: a window that ends some time ago."""
        newest_s = self._clock.now - self._settings.metric_age_s
        return [sample for sample in self._samples if sample.at_s <= newest_s]

    def _wish(self, seen: list[_Sample]) -> int:
        policy = self._policy

        def mean(name: str) -> float:
            return sum(float(getattr(sample.load, name)) for sample in seen) / len(seen)

        wishes = []
        newest = seen[-1].load
        if not newest.pods:
            return self._deployment.replicas  # no answer from monitoring: nothing is scaled
        occupied = newest.sessions / newest.capacity
        if policy.sessions is not None:
            wishes.append(self._by_value(occupied / policy.sessions))
        if policy.utilisation is not None:
            wishes.append(self._by_value(mean("utilisation") / policy.utilisation))
        if policy.queue_s is not None:
            wishes.append(self._by_value(mean("queue_s") / policy.queue_s))

        def beside_admitted(name: str) -> float:
            refused, let_in = (getattr(seen[-1], one) - getattr(seen[0], one) for one in (name, "admitted"))
            return refused / (refused + let_in) if refused else 0.0

        shares = {
            "slow": mean("slow"),
            "late": mean("late"),
            "rejected": beside_admitted("refusals"),
            "given_up": beside_admitted("given_up"),
        }
        for name, share in shares.items():
            limit = getattr(policy, name)
            if limit is not None and policy.sessions is not None:
                wishes.append(self._by_value(occupied / policy.sessions * (1.0 + min(share / limit, 1.0))))
            elif limit is not None:
                wishes.append(self._by_value(min(share / limit, 2.0)))
        return max(wishes)

    def _by_value(self, ratio: float) -> int:
        """As for an external metric of type Value: the ratio times the pods that are ready."""
        deployment = self._deployment
        if abs(ratio - 1.0) <= self._settings.tolerance:
            return deployment.replicas
        return math.ceil(round(ratio * len(deployment.ready), 6))

    def _scale(self, wish: int) -> None:
        now, settings, replicas = self._clock.now, self._settings, self._deployment.replicas
        if not self._wishes:
            self._wishes.append((now, replicas))
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - settings.down_window_s:
            self._wishes.popleft()
        self._sizes.append((now, replicas))
        while self._sizes[0][0] < now - max(settings.up.period_s, settings.down.period_s):
            self._sizes.popleft()
        wanted = wish if wish >= replicas else min(replicas, max(size for _, size in self._wishes))
        wanted = min(max(wanted, self._least(now)), self._most(now))
        wanted = min(max(wanted, settings.least_pods), settings.most_pods)
        if wanted != replicas:
            self._deployment.scale(wanted)

    def _most(self, now: float) -> int:
        """The pace upwards, from the size at the beginning of its period."""
        pace = self._settings.up
        before = next(size for at_s, size in self._sizes if at_s >= now - pace.period_s)
        return max(before + max(pace.pods, math.ceil(before * pace.percent / 100.0)), self._deployment.replicas)

    def _least(self, now: float) -> int:
        """The same downwards. Kubernetes rounds what is left down."""
        pace = self._settings.down
        before = next(size for at_s, size in self._sizes if at_s >= now - pace.period_s)
        left = math.floor(round(before * (1.0 - pace.percent / 100.0), 6))
        return min(before - pace.pods, left, self._deployment.replicas)
