"""A pod that is the service's own core under a virtual clock: every step, every chunk."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.core.core import Core
from service.core.errors import ResourceExhausted, Unavailable
from service.core.events import ChunkInfo, EndReason, Pacing, SessionConfig, Switch
from service.core.simulation import Simulation
from service.core.steps import Step
from service.runtime.tempo import Tempo
from simulation.demand import Visit
from simulation.pods import EARLY_CHUNKS, Load, Outcome
from simulation.profile import EngineProfile

_CONFIG = SessionConfig(tenant="tenant", garment="garment", prompt="", seed=0)


@dataclass(slots=True, kw_only=True)
class _Watch:
    """One viewer's stream as it came."""

    opened_s: float
    first_s: float | None = None
    tempo: Tempo = field(default_factory=Tempo)
    chunks: int = 0
    late: int = 0
    late_early: int = 0
    asked_s: dict[str, float] = field(default_factory=dict)
    switches_late: int = 0


class ExactPod:
    """Lazily advanced: nothing is computed until somebody asks or looks."""

    def __init__(self, profile: EngineProfile, core: Core, *, switch_limit_s: float) -> None:
        self._profile = profile
        self._switch_limit_s = switch_limit_s
        self._watches: dict[str, _Watch] = {}
        self.core = core
        self.sim = Simulation(core, times=profile.step_times())
        self.sim.watcher = self
        self.serving = False
        self.chunks = self.slow = self.late = 0

    def open(self, visit: Visit, now: float) -> float | None:
        self.advance(now)
        session_id = _id(visit)
        try:
            self.core.open(session_id, _CONFIG, now=now, created_s=now)
        except (ResourceExhausted, Unavailable) as refusal:
            return refusal.retry_after_s or 1.0
        self.core.attach(session_id)
        self._watches[session_id] = _Watch(opened_s=now)
        self.sim.at(now + self._profile.times.open_s, lambda: self.core.opened(session_id, self.sim.now))
        for number, after_s in enumerate(visit.switches_s):
            self.sim.at(now + after_s, lambda event_id=str(number): self._switch(session_id, event_id))  # type: ignore[misc]
        self.advance(now)
        return None

    def close(self, visit: Visit, now: float) -> Outcome:
        self.advance(now)
        session_id = _id(visit)
        watch = self._watches.pop(session_id)
        self.core.end(session_id, EndReason.STOPPED)
        self.advance(now)
        self.sim.told.pop(session_id, None)
        return Outcome(
            first_frame_s=None if watch.first_s is None else watch.first_s - watch.opened_s,
            chunks=watch.chunks,
            late=watch.late,
            late_early=watch.late_early,
            switches_late=watch.switches_late,
        )

    def engine_down(self, now: float) -> None:
        self.advance(now)
        self.core.engine_down(now)

    def engine_up(self, now: float) -> None:
        self.advance(now)
        self.core.engine_up(kept=self._profile.keeps_sessions)
        self.advance(now)

    def serve(self, serving: bool) -> None:
        self.serving = serving

    @property
    def sessions(self) -> int:
        return len(self._watches)

    def capacity(self, now: float) -> int:
        """As the service's own metric has it: real-time sessions, open and to be let in."""
        room = self.core.capacity(Pacing.REALTIME, now)
        return room.open + room.available

    def advance(self, now: float) -> None:
        self.sim.run(until_s=now)
        self.sim.now = now

    def _switch(self, session_id: str, event_id: str) -> None:
        watch = self._watches.get(session_id)
        if watch is None:
            return
        watch.asked_s[event_id] = self.sim.now
        self.core.switch(session_id, Switch(event_id=event_id, garment=event_id), self.sim.now)
        ready_s = self.sim.now + self._profile.times.encode_s
        self.sim.at(ready_s, lambda: self.core.switch_ready(session_id, event_id))

    # service.core.simulation.Watcher: steps in flight may outlive the viewer

    def step_began(self, step: Step) -> None:
        if (watch := self._watches.get(step.session_id)) is not None:
            watch.tempo.step_began(step, self.sim.now)

    def step_ended(self, step: Step) -> None:
        if (watch := self._watches.get(step.session_id)) is not None:
            watch.tempo.step_ended(step, self.sim.now)

    def segment_began(self, session_id: str) -> None:
        if (watch := self._watches.get(session_id)) is not None:
            watch.tempo.goes_on(self.sim.now)

    def chunk_sent(self, session_id: str, info: ChunkInfo, late: bool) -> None:
        watch, now = self._watches.get(session_id), self.sim.now
        if watch is None:
            return
        made = watch.tempo.chunk_ready(info.sequence, now)
        slow = made.own_s is not None and info.duration_s < made.own_s
        watch.first_s = now if watch.first_s is None else watch.first_s
        watch.chunks += 1
        watch.late += late
        watch.late_early += late and watch.chunks <= EARLY_CHUNKS
        self.chunks += 1
        self.slow += slow
        self.late += late
        for event_id in info.applied_event_ids:
            watch.switches_late += now - watch.asked_s.pop(event_id) > self._switch_limit_s


class ExactBackend:
    """Pods of the real core, and their counters as a monitoring system reads them: differences since the last look."""

    def __init__(self, profile: EngineProfile, *, blocks: int, switch_limit_s: float) -> None:
        self._profile, self._blocks, self._switch_limit_s = profile, blocks, switch_limit_s
        self._pods: list[ExactPod] = []
        self._seen: dict[ExactPod, tuple[float, ...]] = {}
        self._looked_s = 0.0

    def pod(self) -> ExactPod:
        geometry, schedule = self._profile.geometry(), self._profile.schedule()
        core = Core(
            geometry=geometry,
            schedule=schedule,
            blocks=self._blocks,
            chunk_cost_s=self._profile.chunk_cost_s,
            degradation=0,  # a fleet is sized for chunks with all their passes; an overload should show
        )
        pod = ExactPod(self._profile, core, switch_limit_s=self._switch_limit_s)
        self._pods.append(pod)
        return pod

    def load(self, now: float) -> Load:
        serving = [pod for pod in self._pods if pod.serving]
        totals = [0.0] * 6
        for pod in serving:
            pod.advance(now)
            sim = pod.sim
            counters = (sim.busy_s, sim.waited_s, float(sim.steps), float(pod.slow), float(pod.late), float(pod.chunks))
            before = self._seen.get(pod, (0.0,) * 6)
            totals = [total + new - old for total, new, old in zip(totals, counters, before, strict=True)]
            self._seen[pod] = counters
        busy_s, waited_s, steps, slow, late, chunks = totals
        lanes = 1 if self._profile.one_device else 2
        elapsed_s = (now - self._looked_s) * len(serving) * lanes
        self._looked_s = now
        return Load(
            pods=len(serving),
            sessions=sum(pod.sessions for pod in serving),
            capacity=sum(pod.capacity(now) for pod in serving),
            utilisation=min(1.0, busy_s / elapsed_s) if elapsed_s else 0.0,
            queue_s=waited_s / steps if steps else 0.0,
            slow=slow / chunks if chunks else 0.0,
            late=late / chunks if chunks else 0.0,
        )


def _id(visit: Visit) -> str:
    return str(visit.number)
