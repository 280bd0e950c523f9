"""A pod that knows only how many sessions it has: the service's own admission over the curve, no steps.

What happens to a session is the integral, over its time on the pod, of what the curve says at the number of sessions
the pod had. So a session costs two events, whatever its length.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.core.admission import Capacity, capacity
from service.core.events import Pacing, SessionConfig
from simulation.curve import Figures, Start
from simulation.demand import Visit
from simulation.pods import Load, Outcome

_ENGINE_DOWN_RETRY_S = 5.0
_LONGEST_S = SessionConfig(tenant="", garment="", prompt="", seed=0).max_duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A session's beginning: the pod's integrals then."""

    at_s: float
    start: Start
    chunks: float
    late: float
    switch_late_s: float


class CoarsePod:
    def __init__(self, backend: CoarseBackend) -> None:
        self._backend = backend
        self._marks: dict[int, _Mark] = {}
        self._since_s = 0.0
        self._chunks = self._late = self._switch_late_s = 0.0
        self._down = False
        self._serving = False

    def open(self, visit: Visit, now: float) -> float | None:
        backend, sessions = self._backend, len(self._marks)
        if self._down:
            return _ENGINE_DOWN_RETRY_S
        room = backend.room(sessions)
        if not room.available:
            return room.retry_after_s
        self._integrate(now)
        start = backend.rng.choice(backend.curve[sessions + 1].starts)
        self._marks[visit.number] = _Mark(
            at_s=now,
            start=start,
            chunks=self._chunks,
            late=self._late,
            switch_late_s=self._switch_late_s,
        )
        self._moved(sessions, sessions + 1)
        return None

    def close(self, visit: Visit, now: float) -> Outcome:
        self._integrate(now)
        sessions = len(self._marks)
        mark = self._marks.pop(visit.number)
        self._moved(sessions, sessions - 1)
        seen_s = now - mark.at_s
        switched = sum(after_s < seen_s for after_s in visit.switches_s)
        probability = (self._switch_late_s - mark.switch_late_s) / seen_s if seen_s else 0.0
        late, draw = self._late - mark.late, self._backend.draw
        return Outcome(
            first_frame_s=mark.start.first_frame_s if mark.start.first_frame_s <= seen_s else None,
            chunks=self._chunks - mark.chunks,
            late=mark.start.late + (int(draw.poisson(late)) if late else 0),
            late_early=mark.start.late,
            switches_late=int(draw.binomial(switched, min(1.0, probability))) if probability and switched else 0,
        )

    def engine_down(self, now: float) -> None:
        self._down = True

    def engine_up(self, now: float) -> None:
        """A pause is one late chunk: the reader's clock waits for it."""
        self._down = False
        self._integrate(now)
        self._late += 1.0

    def serve(self, serving: bool) -> None:
        if serving != self._serving:
            self._backend.pods_with[len(self._marks)] += 1 if serving else -1
            self._serving = serving

    def _moved(self, before: int, after: int) -> None:
        if self._serving:
            self._backend.pods_with[before] -= 1
            self._backend.pods_with[after] += 1

    def _integrate(self, now: float) -> None:
        figures, seconds = self._backend.curve[len(self._marks)], now - self._since_s
        self._since_s = now
        self._chunks += seconds * figures.chunks_per_s
        self._late += seconds * figures.late_per_s
        self._switch_late_s += seconds * figures.switch_late


class CoarseBackend:
    """Thousands of pods: their load is read off how many pods have how many sessions."""

    def __init__(self, curve: tuple[Figures, ...], *, chunk_s: float, seed: int) -> None:
        self.curve, self.chunk_s = curve, chunk_s
        self.rng = random.Random(f"{seed} pods")
        self.draw = np.random.default_rng([seed, 2])
        self.blocks = len(curve) - 1
        self.pods_with: Counter[int] = Counter()

    def pod(self) -> CoarsePod:
        return CoarsePod(self)

    def room(self, sessions: int) -> Capacity:
        """The service's answer on a pod with so many sessions."""
        return capacity(
            pacing=Pacing.REALTIME,
            slots=self.blocks,
            free=self.blocks - sessions,
            realtime_sessions=sessions,
            chunk_s=self.chunk_s,
            cost_s=self.curve[sessions].cost_s,
            shortest_remaining_s=_LONGEST_S,
        )

    def load(self, now: float) -> Load:
        pods = sum(self.pods_with.values())
        sessions = sum(n * count for n, count in self.pods_with.items())
        chunks = self._total(lambda figures: figures.chunks_per_s)
        late = self._total(lambda figures: figures.late_per_s)
        slow = self._total(lambda figures: figures.slow_per_s)
        busy = sum(count * self.curve[n].utilisation for n, count in self.pods_with.items())
        waited = sum(
            n * count * self.curve[n].chunks_per_s * self.curve[n].queue_s for n, count in self.pods_with.items()
        )
        return Load(
            pods=pods,
            sessions=sessions,
            capacity=sum(count * (n + self.room(n).available) for n, count in self.pods_with.items()),
            utilisation=busy / pods if pods else 0.0,
            queue_s=waited / chunks if chunks else 0.0,
            slow=slow / chunks if chunks else 0.0,
            late=late / chunks if chunks else 0.0,
        )

    def _total(self, per_session: Callable[[Figures], float]) -> float:
        return sum(n * count * per_session(self.curve[n]) for n, count in self.pods_with.items())
