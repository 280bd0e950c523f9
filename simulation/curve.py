"""What a pod does at each number of sessions: the service's own core, run there by itself under a virtual clock."""

from __future__ import annotations

import heapq
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

from service.core.admission import Capacity
from service.core.core import Core
from service.core.events import Pacing
from simulation.demand import Visit, visits
from simulation.exact import ExactPod
from simulation.pods import Outcome
from simulation.profile import EngineProfile
from simulation.scenario import Demand

_JOINS = 40
_LONGEST_S = 90.0
"""Viewers come and go faster here than they do in truth, so that few hours of virtual time hold enough first frames."""
_STAGGER_S = 7.3
_GAP_S = 2.0
"""The next viewer comes within this of the last one's leaving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a viewer's session began: its first frame, from admission; late ones among its first chunks."""

    first_frame_s: float
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A pod with a constant number of sessions, one coming for each that goes.

    Attributes:
        cost_s: what admission takes a chunk to cost the engine.
        chunks_per_s, slow_per_s: of one session.
        late_per_s: of one session, behind its first chunks; what joining costs is in `starts`.
        switch_late: probability that a switch misses its objective.
        starts: one of each viewer that came while the others were there.
    """

    cost_s: float
    utilisation: float
    queue_s: float
    chunks_per_s: float
    late_per_s: float
    slow_per_s: float
    switch_late: float
    starts: tuple[Start, ...]


class _CountsBlocksOnly(Core):
    """Lets in as many as there are blocks: the curve shows what comes beyond what admission allows."""

    def capacity(self, pacing: Pacing, now: float) -> Capacity:
        return super().capacity(Pacing.UNPACED, now)


def measure(
    profile: EngineProfile, demand: Demand, *, blocks: int, switch_limit_s: float, seed: int
) -> tuple[Figures, ...]:
    """Figures for 0 to `blocks` sessions."""
    idle = Figures(
        cost_s=profile.chunk_cost_s,
        utilisation=0.0,
        queue_s=0.0,
        chunks_per_s=0.0,
        late_per_s=0.0,
        slow_per_s=0.0,
        switch_late=0.0,
        starts=(),
    )
    busier = [_at(profile, demand, n, switch_limit_s=switch_limit_s, seed=seed + n) for n in range(1, blocks + 1)]
    return (idle, *busier)


def _at(profile: EngineProfile, demand: Demand, sessions: int, *, switch_limit_s: float, seed: int) -> Figures:
    core = _CountsBlocksOnly(
        geometry=profile.geometry(),
        schedule=profile.schedule(),
        blocks=2 * sessions,
        chunk_cost_s=profile.chunk_cost_s,
        degradation=0,  # as in ExactBackend
    )
    pod = ExactPod(profile, core, switch_limit_s=switch_limit_s)
    viewers, rng = _viewers(demand, seed), random.Random(f"{seed} curve")
    # Who leaves when, and (no viewer) when somebody comes.
    moves: list[tuple[float, int, Visit | None]] = [(n * _STAGGER_S, -n, None) for n in range(sessions)]
    outcomes: list[tuple[Visit, Outcome]] = []
    costs: list[float] = []
    now = 0.0
    while len(outcomes) < max(_JOINS, 4 * sessions):
        now, number, viewer = heapq.heappop(moves)
        if viewer is None:
            viewer = next(viewers)
            refusal = pod.open(viewer, now)
            assert refusal is None, "a block comes back once its last step is answered; there are enough for that"
            heapq.heappush(moves, (now + viewer.length_s, viewer.number, viewer))
            continue
        outcomes.append((viewer, pod.close(viewer, now)))
        costs.append(profile.chunk_s / core.capacity(Pacing.REALTIME, now).realtime_factor)
        heapq.heappush(moves, (now + rng.uniform(0.0, _GAP_S), number, None))
    seen_s = sum(viewer.length_s for viewer, _ in outcomes)
    switches = sum(len(viewer.switches_s) for viewer, _ in outcomes)
    sim, chunks = pod.sim, sum(outcome.chunks for _, outcome in outcomes)
    return Figures(
        cost_s=statistics.mean(costs),
        utilisation=min(1.0, sim.busy_s / now / (1 if profile.one_device else 2)),
        queue_s=sim.waited_s / sim.steps,
        chunks_per_s=chunks / seen_s,
        late_per_s=sum(outcome.late - outcome.late_early for _, outcome in outcomes) / seen_s,
        slow_per_s=pod.slow / (now * sessions),
        switch_late=sum(outcome.switches_late for _, outcome in outcomes) / switches if switches else 0.0,
        starts=tuple(
            Start(first_frame_s=outcome.first_frame_s, late=outcome.late_early)
            for _, outcome in outcomes[sessions - 1 :]
            if outcome.first_frame_s is not None
        ),
    )


def _viewers(demand: Demand, seed: int) -> Iterator[Visit]:
    """The scenario's viewers, at most `_LONGEST_S` long, with switches as dense as theirs."""
    short = demand.model_copy(update={"max_s": min(_LONGEST_S, demand.max_s)})
    for visit in visits(short, hours=24.0 * 7, seed=seed):
        yield replace(visit, at_s=0.0)
