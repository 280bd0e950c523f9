"""The core under a virtual clock: steps take stated times, readers read at once. For tests, benchmarks, studies."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from service.core.core import Core
from service.core.events import ChunkInfo, Ended, StreamEvent
from service.core.steps import (
    BeginSegment,
    ClearBlock,
    DropSwitch,
    Emit,
    EncodeMedia,
    EncodeReference,
    Release,
    Step,
    StepKind,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """Seconds of engine time; one student step and one decode run at a time, in the order dispatched.

    Attributes:
        one_device: both share one device: a single step runs at a time.
    """

    encode_s: float = 0.05
    prefill_s: float = 0.02
    pass_s: float = 0.04
    decode_s: float = 0.15
    one_device: bool = False

    def of(self, kind: StepKind) -> float:
        if kind is StepKind.DECODE:
            return self.decode_s
        return self.prefill_s if kind is StepKind.PREFILL else self.pass_s


class Watcher(Protocol):
    """Sees what the runtime's observers see, at the simulation's `now`; `late`: the chunk came after its time."""

    def step_began(self, step: Step) -> None: ...

    def step_ended(self, step: Step) -> None: ...

    def segment_began(self, session_id: str) -> None: ...

    def chunk_sent(self, session_id: str, info: ChunkInfo, late: bool) -> None: ...


@dataclass(slots=True)
class Simulation:
    """Runs a core until nothing more is to happen, or until a time. `now` is the virtual clock, in seconds.

    Attributes:
        told: what each session's stream was told, in order.
        unread: sessions whose chunks nobody takes.
        ended_s: when each session ended, in virtual time.
        decision_s: real seconds that each round of decisions took: settle, effects and the choice of steps.
        watcher: told of steps and chunks as they happen.
        busy_s: device seconds of all steps; `waited_s`: what the `steps` steps waited between runnable and running.
    """

    core: Core
    times: StepTimes = field(default_factory=StepTimes)
    now: float = 0.0
    measures: bool = False
    told: dict[str, list[StreamEvent | ChunkInfo]] = field(default_factory=lambda: defaultdict(list))
    unread: set[str] = field(default_factory=set)
    ended_s: dict[str, float] = field(default_factory=dict)
    decision_s: list[float] = field(default_factory=list)
    watcher: Watcher | None = None
    busy_s: float = 0.0
    waited_s: float = 0.0
    steps: int = 0
    _queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: int = 0
    _student_free_s: float = 0.0
    _decoder_free_s: float = 0.0

    def at(self, when_s: float, act: Callable[[], None]) -> None:
        """Do something at a virtual time."""
        self._order += 1
        heapq.heappush(self._queue, (max(when_s, self.now), self._order, act))

    def run(self, until_s: float = float("inf")) -> None:
        self._pump()
        while True:
            wake_s = self.core.next_wake_s()
            next_s = min(self._queue[0][0] if self._queue else float("inf"), wake_s or float("inf"))
            if next_s > until_s or next_s == float("inf"):
                return
            self.now = max(self.now, next_s)
            if self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
            else:
                self.core.tick(self.now)
            self._pump()

    def _pump(self) -> None:
        while True:
            began = time.perf_counter() if self.measures else 0.0
            effects = self.core.take_effects(self.now)
            steps = self.core.next_steps(self.now)
            if self.measures and steps:
                self.decision_s.append(time.perf_counter() - began)
            if not effects and not steps:
                return
            for effect in effects:
                self._carry_out(effect)
            for step in steps:
                self._dispatch(step)

    def _dispatch(self, step: Step) -> None:
        seconds = self.times.of(step.kind)
        if step.kind is StepKind.DECODE and not self.times.one_device:
            self._decoder_free_s = done_s = max(self._decoder_free_s, self.now) + seconds
        else:
            self._student_free_s = done_s = max(self._student_free_s, self.now) + seconds
        self.steps += 1
        self.busy_s += seconds
        self.waited_s += done_s - seconds - step.runnable_s
        if self.watcher is not None:
            self.watcher.step_began(step)
        self.at(done_s, lambda: self._done(step, seconds))

    def _done(self, step: Step, seconds: float) -> None:
        self.core.step_done(step, seconds=seconds, queued=0.0, now=self.now)
        if self.watcher is not None:
            self.watcher.step_ended(step)

    def _carry_out(self, effect: object) -> None:
        core = self.core
        match effect:
            case Emit(session_id=session_id, event=event):
                self.told[session_id].append(event)
                if isinstance(event, Ended):
                    self.ended_s[session_id] = self.now
            case EncodeReference(session_id=session_id):
                seconds = self.times.encode_s
                ready = self.now + seconds
                self.at(ready, lambda: core.reference_ready(session_id, seconds=seconds, now=self.now))
            case EncodeMedia(session_id=session_id, info=info, before=before):
                if session_id not in self.ended_s:
                    self.told[session_id] += [*before, info]
                if session_id not in self.unread:
                    late = core.sent(session_id, info, self.now)
                    if self.watcher is not None:
                        self.watcher.chunk_sent(session_id, info, late)
            case ClearBlock(block=block):
                self.at(self.now, lambda: core.cleared(block))
            case BeginSegment(session_id=session_id):
                if self.watcher is not None:
                    self.watcher.segment_began(session_id)
            case DropSwitch() | Release():
                return
