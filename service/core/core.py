"""The pure heart: every session, the engine's two lanes, its blocks. Inputs in, steps and effects out; no clock.

Each input method updates state and appends effects. After any input, `next_steps` hands out what the lanes have room
for, `take_effects` what else is to be done, and `next_wake_s` when to call `tick` at the latest.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping

from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule
from service.core.admission import Capacity, ChunkCost, capacity
from service.core.degradation import MOST_LEFT_OUT
from service.core.ended import EndedSessions
from service.core.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from service.core.events import ChunkInfo, EndReason, Pacing, SessionConfig, SessionView, State, Switch, SwitchAccepted
from service.core.lane import Lane
from service.core.session import Session
from service.core.steps import Effect, Release, Step, StepKind

ENGINE_GRACE_S = 60.0
IDLE_TIMEOUT_S = 600.0


class Core:
    """Owns every session. `blocks` sessions fit; `student_width` and `decoder_width` calls run at once on each lane.

    Args:
        chunk_cost_s: of the full engine, measured at its start; 0: only blocks count until the first chunk is done.
        engine_grace_s: how long sessions outlive an engine that is down.
        idle_timeout_s: how long a client that is there may keep its session from going on.
        degradation: denoising passes that a real-time chunk may go without rather than be late; 0: none.
    """

    def __init__(
        self,
        *,
        geometry: StudentGeometry,
        schedule: DenoisingSchedule,
        blocks: int,
        max_sessions_per_tenant: int | None = None,
        chunk_cost_s: float = 0.0,
        engine_grace_s: float = ENGINE_GRACE_S,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        degradation: int = MOST_LEFT_OUT,
        student_width: int = 4,
        decoder_width: int = 2,
    ) -> None:
        self.geometry = geometry
        self._schedule = schedule
        self._sessions: dict[str, Session] = {}
        self._ended = EndedSessions()
        self._max_per_tenant = max_sessions_per_tenant
        self._engine_grace_s, self._idle_timeout_s = engine_grace_s, idle_timeout_s
        self._degradation = degradation
        self._blocks = blocks
        self._free = list(range(blocks - 1, -1, -1))
        self._clearing: set[int] = set()
        self._student = Lane(student_width)
        self._decoder = Lane(decoder_width)
        self._cost = ChunkCost(at_start_s=chunk_cost_s)
        self._busy_since_s = self._busy_s = 0.0
        """Since when anything is in flight, and for how long anything was since the last chunk."""
        self._effects: list[Effect] = []
        self._timers: list[tuple[float, str]] = []
        self._dirty: set[str] = set()
        self._step_count = 0
        self._engine_down_since_s: float | None = None
        self._drain_deadline_s: float | None = None
        self._drain_grace_s = 0.0
        self.late_chunks = 0

    # Sessions

    @property
    def draining(self) -> bool:
        return self._drain_deadline_s is not None

    @property
    def idle(self) -> bool:
        """No session lives and no block is leased."""
        return len(self._free) == self._blocks

    def check_room(self, tenant: str, pacing: Pacing, now: float) -> None:
        """What `open` would refuse now.

        Raises:
            Unavailable: draining, or the engine is down.
            ResourceExhausted: no block, no engine time, or the tenant's quota.
        """
        if self._drain_deadline_s is not None:
            raise Unavailable("DRAINING", "the server is shutting down", retry_after_s=1.0)
        if self._engine_down_since_s is not None:
            raise Unavailable("ENGINE_DOWN", "the engine is restarting", retry_after_s=5.0)
        if self._max_per_tenant is not None and self._tenant_sessions(tenant) >= self._max_per_tenant:
            raise ResourceExhausted(
                "TENANT_QUOTA",
                f"the tenant has {self._max_per_tenant} sessions open, its limit",
                resource=tenant,
            )
        room = self.capacity(pacing, now)
        if not room.available:
            raise ResourceExhausted(
                "SESSION_CAPACITY",
                f"{room.open} of {room.slots} sessions are open and the engine keeps up no more",
                retry_after_s=room.retry_after_s,
            )

    def open(self, session_id: str, config: SessionConfig, *, now: float, created_s: float) -> SessionView:
        """Admit a session and lease it a block, or raise what `check_room` does."""
        assert session_id not in self._sessions
        self.check_room(config.tenant, config.pacing, now)
        session = Session(
            session_id=session_id,
            block=self._free.pop(),
            config=config,
            geometry=self.geometry,
            schedule=self._schedule,
            now=now,
            created_s=created_s,
            idle_timeout_s=self._idle_timeout_s,
            degradation=self._degradation,
            effects=self._effects,
        )
        self._sessions[session_id] = session
        self._wake_at(session.detach_deadline_s, session_id)
        return session.view()

    def capacity(self, pacing: Pacing, now: float) -> Capacity:
        live = [s for s in self._sessions.values() if s.state is not State.ENDED]
        remaining = min((s.config.max_duration_s - s.next_pts_s for s in live), default=1.0)
        return capacity(
            pacing=pacing,
            slots=self._blocks,
            free=len(self._free),
            realtime_sessions=self._realtime_sessions(),
            chunk_s=self._chunk_s,
            cost_s=self._cost.seconds,
            shortest_remaining_s=remaining,
        )

    def view(self, session_id: str) -> SessionView:
        if session_id in self._sessions:
            return self._sessions[session_id].view()
        if (ended := self._ended.get(session_id)) is not None:
            return ended
        raise NotFound("SESSION_NOT_FOUND", f"no session {session_id}", resource=session_id)

    def views(self) -> list[SessionView]:
        """Newest first, the last ended ones included."""
        views = [*self._ended.views(), *(s.view() for s in self._sessions.values())]
        return sorted(views, key=lambda view: (view.created_s, view.id), reverse=True)

    def opened(self, session_id: str, now: float) -> None:
        self._with(session_id, lambda s: s.opened(now))

    def reference_ready(self, session_id: str, *, seconds: float, now: float) -> None:
        self._with(session_id, lambda s: s.reference_ready(now, seconds))

    def switch(self, session_id: str, switch: Switch, now: float) -> SwitchAccepted:
        """NotFound, AlreadyExists, FailedPrecondition or ResourceExhausted, or the acceptance."""
        session = self._session(session_id)
        accepted = session.request_switch(switch, now)
        self._touch(session_id)
        return accepted

    def knows_switch(self, session_id: str, event_id: str) -> bool:
        return session_id in self._sessions and self._sessions[session_id].switches.knows(event_id)

    def switch_ready(self, session_id: str, event_id: str) -> None:
        self._with(session_id, lambda s: s.switches.ready(event_id))

    def switch_failed(self, session_id: str, event_id: str, *, reason: str, message: str) -> None:
        self._with(session_id, lambda s: s.switches.failed(event_id, reason, message))

    def attach(self, session_id: str, *, from_sequence: int = 0) -> None:
        """A stream reads; `from_sequence`: the chunks before it were sent, or it wants none of them."""
        session = self._session(session_id)
        session.playout.pass_over(from_sequence)
        session.playout.attached = True
        session.playout.credits = None
        session.detach_deadline_s = None
        self._touch(session_id)

    def detach(self, session_id: str, now: float) -> None:
        def leave(session: Session) -> None:
            if session.state is State.ENDED:
                return
            session.playout.attached = False
            session.playout.hold()
            session.detach_deadline_s = now + session.config.detach_grace_s
            self._wake_at(session.detach_deadline_s, session_id)

        self._with(session_id, leave)

    def sent(self, session_id: str, info: ChunkInfo, now: float) -> bool:
        """A chunk was written to the stream; True if after its time."""
        late = False

        def note(session: Session) -> None:
            nonlocal late
            late = session.chunk_sent(info, now)

        self._with(session_id, note)
        self.late_chunks += late
        return late

    def grant(self, session_id: str, chunks: int) -> None:
        self._session(session_id).playout.grant(chunks)
        self._touch(session_id)

    def pause(self, session_id: str) -> None:
        self._session(session_id).pause()
        self._touch(session_id)

    def resume(self, session_id: str) -> None:
        self._session(session_id).resume()
        self._touch(session_id)

    def end(self, session_id: str, reason: EndReason, message: str = "") -> None:
        self._with(session_id, lambda s: s.end(reason, message))

    # Engine

    def engine_down(self, now: float) -> None:
        if self._engine_down_since_s is None:
            self._engine_down_since_s = now
            self._wake_at(now + self._engine_grace_s, "")

    def engine_up(self, *, kept: bool) -> None:
        """`kept`: the blocks still hold what they held; otherwise running sessions cannot go on."""
        self._engine_down_since_s = None
        for session in tuple(self._sessions.values()):
            if not kept and session.state is not State.OPENING:
                session.end(EndReason.LOST, "SESSION_LOST: the engine restarted without the session's state")
            self._touch(session.id)

    def next_steps(self, now: float) -> list[Step]:
        """Steps to dispatch now; each is in flight from here on."""
        self._settle(now)
        if self._engine_down_since_s is not None:
            return []
        steps = []
        for session_id in self._student.pop_runnable(now):
            session = self._sessions.get(session_id)
            if session is not None and session.student_ready(now):  # it may have ended or paused since it was queued
                self._begin(self._student, session, now)
                steps.append(session.student_step(self._next_step_id()))
        for session_id in self._decoder.pop_runnable(now):
            session = self._sessions.get(session_id)
            if session is not None and session.decoder_ready():
                self._begin(self._decoder, session, now)
                steps.append(session.decoder_step(self._next_step_id()))
        return steps

    def step_done(self, step: Step, *, seconds: float, queued: float, now: float) -> None:
        session = self._sessions[step.session_id]
        self._finish(step, session, now)
        session.step_done(step, seconds=seconds, queued=queued, now=now)
        if step.kind is StepKind.DECODE:
            self._chunk_done(session)
        self._touch(step.session_id)

    def step_returned(self, step: Step, now: float) -> None:
        """The engine went down with the step in flight."""
        session = self._sessions[step.session_id]
        self._finish(step, session, now)
        session.step_returned(step)
        self._touch(step.session_id)

    def step_failed(self, step: Step, message: str, now: float) -> None:
        """The engine refused the step: the session cannot go on."""
        self.step_returned(step, now)
        self.end(step.session_id, EndReason.LOST, f"SESSION_LOST: {message}")

    def cleared(self, block: int) -> None:
        self._clearing.remove(block)
        self._free.append(block)

    # Time

    def drain(self, grace_s: float, now: float) -> None:
        """No new sessions; those that run may finish within the grace."""
        self._drain_deadline_s = now + grace_s
        self._drain_grace_s = grace_s
        self._wake_at(self._drain_deadline_s, "")
        for session in tuple(self._sessions.values()):
            session.drain(grace_s)
            self._touch(session.id)

    def tick(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, session_id = heapq.heappop(self._timers)
            if session_id in self._sessions:
                self._sessions[session_id].timer_rang(now)
                self._touch(session_id)
        self._ended.forget(now)
        if self._drain_deadline_s is not None and now >= self._drain_deadline_s:
            self._end_all(EndReason.DRAINED, "the server shut down")
        if self._engine_down_since_s is not None and now >= self._engine_down_since_s + self._engine_grace_s:
            message = f"ENGINE_DOWN: the engine did not come back within {self._engine_grace_s:g} s"
            self._end_all(EndReason.LOST, message)

    def next_wake_s(self) -> float | None:
        return self._timers[0][0] if self._timers else None

    def take_effects(self, now: float) -> list[Effect]:
        self._settle(now)
        effects, self._effects[:] = list(self._effects), []
        return effects

    # The books

    def session_counts(self) -> Mapping[State, int]:
        return Counter(session.state for session in self._sessions.values())

    def block_counts(self) -> Mapping[str, int]:
        return {"free": len(self._free), "leased": len(self._sessions), "clearing": len(self._clearing)}

    def check_integrity(self) -> None:
        """Every block is free, leased or being cleared, exactly once. AssertionError otherwise."""
        leased = [session.block for session in self._sessions.values()]
        assert sorted([*self._free, *leased, *self._clearing]) == list(range(self._blocks))
        flying = [step for session in self._sessions.values() for step in session.in_flight.values()]
        decoding = sum(step.kind is StepKind.DECODE for step in flying)
        assert (self._student.in_flight, self._decoder.in_flight) == (len(flying) - decoding, decoding)

    # Inside

    def _session(self, session_id: str) -> Session:
        if session_id not in self._sessions:
            self.view(session_id)  # NotFound, unless it ended a while ago
            raise FailedPrecondition("SESSION_ENDED", "the session has ended", resource=session_id)
        return self._sessions[session_id]

    def _with(self, session_id: str, act: Callable[[Session], None]) -> None:
        """Inputs from tasks that may outlive the session."""
        if session_id in self._sessions:
            act(self._sessions[session_id])
            self._touch(session_id)

    def _touch(self, session_id: str) -> None:
        self._dirty.add(session_id)

    def _settle(self, now: float) -> None:
        """Queue what became runnable, release what is over."""
        while self._dirty:
            session = self._sessions.get(self._dirty.pop())
            if session is None:
                continue
            if session.finished():
                session.end(EndReason.COMPLETED)
            if session.state is State.ENDED:
                if not session.in_flight:
                    self._release(session, now)
                continue
            session.note_hold(now)
            self._wake_at(session.hold.wake_s(), session.id)
            if session.student_ready(now):
                self._student.push(session.id, session.student_deadline_s(), background=session.background)
            elif (wake_s := session.paced_start_s()) is not None and now < wake_s != session.wake_s:
                session.wake_s = wake_s
                self._wake_at(wake_s, session.id)
            if session.decoder_ready():
                self._decoder.push(session.id, session.decoder_deadline_s(), background=session.background)

    def _release(self, session: Session, now: float) -> None:
        """A cancelled call may still write: the block is cleared only now that nothing is in flight."""
        del self._sessions[session.id]
        self._wake_at(self._ended.add(session.view(), now), "")
        self._clearing.add(session.block)
        self._effects += [session.clear_effect(), Release(session_id=session.id)]

    def _end_all(self, reason: EndReason, message: str) -> None:
        for session in tuple(self._sessions.values()):
            session.end(reason, message)
            self._touch(session.id)

    def _wake_at(self, when_s: float | None, session_id: str) -> None:
        if when_s is not None:
            heapq.heappush(self._timers, (when_s, session_id))

    def _tenant_sessions(self, tenant: str) -> int:
        return sum(s.config.tenant == tenant and s.state is not State.ENDED for s in self._sessions.values())

    def _next_step_id(self) -> int:
        self._step_count += 1
        return self._step_count

    @property
    def _chunk_s(self) -> float:
        return self.geometry.video_frames(first_chunk_of_segment=False) / self.geometry.frames_per_second

    def _realtime_sessions(self) -> int:
        return sum(not s.background and s.state is not State.ENDED for s in self._sessions.values())

    def _begin(self, lane: Lane, session: Session, now: float) -> None:
        if not self._student.in_flight + self._decoder.in_flight:
            self._busy_since_s = now
        lane.begin(background=session.background)

    def _finish(self, step: Step, session: Session, now: float) -> None:
        lane = self._decoder if step.kind is StepKind.DECODE else self._student
        lane.finish(background=session.background)
        self._busy_s += now - self._busy_since_s
        self._busy_since_s = now

    def _chunk_done(self, session: Session) -> None:
        self._cost.chunk_done(busy_s=self._busy_s, full=session.window_full and not session.degraded)
        self._busy_s = 0.0
        if session.background or session.state is State.ENDED:
            return
        if session.chunk_took_s > self._chunk_s:
            self._cost.realtime_chunk_too_slow(plays_s=self._chunk_s, sessions=self._realtime_sessions())
        elif not session.degraded:
            self._cost.realtime_chunk_in_time()
