"""One session: which step it needs next, what a switch does to it, when it ends.

The student and the decoder work at the same time: once a chunk's last denoising pass is done, its decoding, its clean
pass and the next chunk's passes go their own ways. A switch joins them: with a policy that replaces the reference, the
next segment waits for the last frame.

    CONDITIONS -> PREFILL -> BOUNDARY -> DENOISE -> COMMIT -> BOUNDARY -> ...
                                 |                               |
                                 +------- switch: CONDITIONS <---+
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from contract.cache_plan import (
    CacheState,
    ChunkPlan,
    PassPlan,
    Policy,
    PrefillPlan,
    Role,
    plan_chunk,
    plan_start,
    plan_switch,
)
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule, Pass
from service.core.errors import AlreadyExists, Code, FailedPrecondition, ResourceExhausted
from service.core.events import (
    ChunkInfo,
    Cursor,
    Draining,
    Ended,
    EndReason,
    Pacing,
    SessionConfig,
    SessionView,
    State,
    Switch,
    SwitchAccepted,
    SwitchApplied,
    SwitchRejected,
    Timings,
)
from service.core.machine import Input, transition
from service.core.pacing import Playout
from service.core.steps import (
    BeginSegment,
    ClearBlock,
    DropSwitch,
    Effect,
    Emit,
    EncodeMedia,
    EncodeReference,
    Step,
    StepKind,
)

ATTACH_GRACE_S = 30.0
MAX_PENDING_SWITCHES = 64
_REMEMBERED_SWITCHES = 256


class Phase(Enum):
    CONDITIONS = auto()
    PREFILL = auto()
    BOUNDARY = auto()
    DENOISE = auto()
    COMMIT = auto()


@dataclass(slots=True, kw_only=True)
class PendingSwitch:
    switch: Switch
    accepted_s: float
    ready: bool = False


@dataclass(slots=True, kw_only=True)
class Chunk:
    """A chunk under way."""

    sequence: int
    cursor: Cursor
    first_frame: int
    frame_count: int
    garment: str
    restarts_decoder: bool
    applied: SwitchApplied | None
    timings: Timings = field(default_factory=Timings)
    decode_runnable_s: float = 0.0


class Session:
    """State of one session. Methods append to `effects`; `steps` says what could run."""

    def __init__(
        self,
        *,
        session_id: str,
        block: int,
        config: SessionConfig,
        geometry: StudentGeometry,
        schedule: DenoisingSchedule,
        now: float,
        created_s: float,
        effects: list[Effect],
    ) -> None:
        self.id = session_id
        self.block = block
        self.config = config
        self.state = State.OPENING
        self.end_reason: EndReason | None = None
        self.opened_s = now
        self.detach_deadline_s: float | None = now + ATTACH_GRACE_S
        self.in_flight: dict[int, Step] = {}
        self.draining = False
        self.wake_s = 0.0
        """The last time asked of the timer, so that it is asked once."""
        self._geometry = geometry
        self._passes = schedule.denoising_passes()
        self._clean_pass = schedule.clean_pass()
        self._created_s = created_s
        self._effects = effects
        self.playout = Playout(
            pacing=config.pacing, opened_s=now, chunk_s=geometry.video_frames(first_chunk_of_segment=False) / self._fps
        )
        self.garment = config.garment
        self.prompt = config.prompt
        self.phase = Phase.CONDITIONS
        self.phase_since_s = now
        self._cache = CacheState(geometry=geometry)
        self._prefill: PrefillPlan | None = plan_start(geometry)
        self._plan: ChunkPlan | None = None
        self._pass_index = 0
        self._chunk: Chunk | None = None
        self._restart_next = True
        self._applying: PendingSwitch | None = None
        self._awaiting_reference = False
        self._next_frame = 0
        self._bank: int | None = None
        self._decoding: deque[Chunk] = deque()
        self._encoding = 0
        self._segment_timings = Timings()
        self._pending: list[PendingSwitch] = []
        self._answered: dict[str, tuple[Switch, SwitchAccepted]] = {}

    # What the session looks like

    @property
    def _fps(self) -> int:
        return self._geometry.frames_per_second

    @property
    def next_pts_s(self) -> float:
        return self._next_frame / self._fps

    @property
    def generates(self) -> bool:
        return self.state in (State.STREAMING, State.DRAINING)

    @property
    def background(self) -> bool:
        """Takes only what real-time sessions leave of the engine."""
        return self.config.pacing is Pacing.UNPACED

    def paced_start_s(self) -> float | None:
        """When the next chunk may begin, if pacing alone holds it back."""
        waits = self.phase is Phase.BOUNDARY and self.generates and not self._complete() and not self._decoder_behind
        return self.playout.paced_start_s(self.next_pts_s) if waits else None

    def view(self) -> SessionView:
        return SessionView(
            id=self.id,
            state=self.state,
            config=self.config,
            created_s=self._created_s,
            garment=self.garment,
            prompt=self.prompt,
            width=self._geometry.frame_width,
            height=self._geometry.frame_height,
            frames_per_second=self._fps,
            generated_s=self.next_pts_s,
            next=Cursor(segment=max(0, self._cache.segment), chunk=self._cache.chunk),
            end_reason=self.end_reason,
        )

    # Steps

    def student_ready(self, now: float) -> bool:
        """Advance past a chunk boundary if it may be; True if the student has a step to run."""
        if self.phase is Phase.BOUNDARY and self.generates:
            self._leave_boundary(now)
        if self._student_in_flight():
            return False
        return self.phase in (Phase.PREFILL, Phase.DENOISE, Phase.COMMIT) and self.state is not State.ENDED

    def decoder_ready(self) -> bool:
        busy = any(step.kind is StepKind.DECODE for step in self.in_flight.values())
        return bool(self._decoding) and not busy and self.state is not State.ENDED

    def student_step(self, step_id: int) -> Step:
        """The step that `student_ready` announced; it is in flight from here on."""
        plan, kind, sigma_pass, conditions = self._student_work()
        step = Step(
            id=step_id,
            session_id=self.id,
            block=self.block,
            kind=kind,
            deadline_s=self._deadline_s(self.phase_since_s),
            runnable_s=self.phase_since_s,
            sequence=self._sequence_worked_on(kind),
            segment=self._plan.segment if self._plan else self._cache.segment,
            chunk=self._plan.chunk if self._plan else self._cache.chunk,
            plan=plan,
            conditions=conditions,
            sigma_pass=sigma_pass,
            last=kind is StepKind.DENOISE and self._pass_index == len(self._passes) - 1,
        )
        self.in_flight[step.id] = step
        return step

    def decoder_step(self, step_id: int) -> Step:
        chunk = self._decoding[0]
        step = Step(
            id=step_id,
            session_id=self.id,
            block=self.block,
            kind=StepKind.DECODE,
            deadline_s=self.playout.deadline_s(chunk.first_frame / self._fps, chunk.decode_runnable_s),
            runnable_s=chunk.decode_runnable_s,
            sequence=chunk.sequence,
            segment=chunk.cursor.segment,
            chunk=chunk.cursor.chunk,
            read_bank=None if chunk.restarts_decoder else self._bank,
            write_bank=0 if self._bank is None else 1 - self._bank,
        )
        self.in_flight[step.id] = step
        return step

    def student_deadline_s(self) -> float:
        return self._deadline_s(self.phase_since_s)

    def decoder_deadline_s(self) -> float:
        chunk = self._decoding[0]
        return self.playout.deadline_s(chunk.first_frame / self._fps, chunk.decode_runnable_s)

    def step_done(self, step: Step, *, seconds: float, queued: float, now: float) -> None:
        del self.in_flight[step.id]
        if self.state is State.ENDED:
            return
        if step.kind is StepKind.DECODE:
            self._decoded(step, seconds, queued)
        elif step.kind is StepKind.PREFILL:
            assert self._prefill is not None
            self._cache = self._prefill.after
            self._restart_next = self._prefill.restarts_video
            self._prefill = None
            self._segment_timings = replace(self._segment_timings, prefill=seconds, queue=queued)
            self._enter(Phase.BOUNDARY, now)
        elif step.kind is StepKind.DENOISE:
            self._denoised(step, seconds, queued, now)
        else:
            assert self._plan is not None
            self._cache = self._plan.after
            self._plan = None
            self._enter(Phase.BOUNDARY, now)

    def step_returned(self, step: Step) -> None:
        """The engine went down with the step: it will be asked for again."""
        del self.in_flight[step.id]

    # Opening, pausing, ending

    def opened(self, now: float) -> None:
        """Pictures and prompt are encoded."""
        if self.state is State.ENDED:
            return
        self.state = transition(self.state, Input.OPENED)
        if self.draining:
            self.state = transition(self.state, Input.DRAIN)
        self._enter(Phase.PREFILL, now)

    def reference_ready(self, now: float, seconds: float) -> None:
        if self.state is State.ENDED:
            return
        self._segment_timings = replace(self._segment_timings, encode=seconds)
        self._enter(Phase.PREFILL, now)

    def pause(self) -> None:
        self.state = transition(self.state, Input.PAUSE)
        self.playout.hold()

    def resume(self) -> None:
        self.state = transition(self.state, Input.RESUME)

    def drain(self, grace_s: float) -> None:
        if self.state is State.ENDED or self.draining:
            return
        self.draining = True
        self.state = transition(self.state, Input.DRAIN)
        self._effects.append(Emit(session_id=self.id, event=Draining(grace_s=grace_s)))

    def end(self, reason: EndReason, message: str = "") -> None:
        """Over. The block is cleared once nothing of the session is in flight."""
        if self.state is State.ENDED:
            return
        for pending in tuple(self._pending):
            self._reject(pending, "SESSION_ENDED", "the session ended before the switch took effect")
        self.state = transition(self.state, Input.END)
        self.end_reason = reason
        self.detach_deadline_s = None
        self._decoding.clear()
        ended = Ended(reason=reason, message=message, generated_s=self.next_pts_s)
        self._effects.append(Emit(session_id=self.id, event=ended))

    def finished(self) -> bool:
        """True once `max_duration_s` of video has been made and sent."""
        at_rest = self.phase is Phase.BOUNDARY and self.generates
        return at_rest and self._complete() and self.playout.sent == self.playout.started

    def clear_effect(self) -> ClearBlock:
        assert self.state is State.ENDED
        assert not self.in_flight
        return ClearBlock(block=self.block)

    # Switching

    def request_switch(self, switch: Switch, now: float) -> SwitchAccepted:
        """Accept a switch; the same event id again gets the same answer."""
        if switch.event_id in self._answered:
            known, accepted = self._answered[switch.event_id]
            if known != switch:
                raise AlreadyExists(
                    "EVENT_ID_REUSED", f"event id {switch.event_id!r} named another switch before", resource=self.id
                )
            return accepted
        if self.state is State.ENDED:
            raise FailedPrecondition("SESSION_ENDED", "the session has ended", resource=self.id)
        if len(self._pending) >= MAX_PENDING_SWITCHES:
            raise ResourceExhausted(
                "TOO_MANY_SWITCHES",
                f"{MAX_PENDING_SWITCHES} switches are waiting already, the limit",
                retry_after_s=self.playout.chunk_s,
            )
        accepted = SwitchAccepted(
            event_id=switch.event_id, garment=switch.garment, earliest_sequence=self.playout.started
        )
        self._pending.append(PendingSwitch(switch=switch, accepted_s=now))
        self._answered[switch.event_id] = (switch, accepted)
        if len(self._answered) > _REMEMBERED_SWITCHES:
            del self._answered[next(iter(self._answered))]
        self._effects.append(Emit(session_id=self.id, event=accepted))
        return accepted

    def knows_switch(self, event_id: str) -> bool:
        return event_id in self._answered

    def switch_ready(self, event_id: str) -> None:
        """Its garment and prompt are encoded."""
        for pending in self._pending:
            if pending.switch.event_id == event_id:
                pending.ready = True

    def switch_failed(self, event_id: str, reason: str, message: str) -> None:
        for pending in tuple(self._pending):
            if pending.switch.event_id == event_id:
                self._reject(pending, reason, message)

    # Inside

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self.phase_since_s = now

    def _student_in_flight(self) -> bool:
        return any(step.kind is not StepKind.DECODE for step in self.in_flight.values())

    def _deadline_s(self, now: float) -> float:
        frame = self._chunk.first_frame if self._chunk and self.phase is not Phase.BOUNDARY else self._next_frame
        return self.playout.deadline_s(frame / self._fps, now)

    def _sequence_worked_on(self, kind: StepKind) -> int:
        if self._chunk is not None:
            return self._chunk.sequence
        return self.playout.started - (kind is StepKind.COMMIT)

    def _student_work(self) -> tuple[PassPlan, StepKind, Pass | None, tuple[Role, ...]]:
        if self.phase is Phase.PREFILL:
            assert self._prefill is not None
            return self._prefill.condition_pass, StepKind.PREFILL, None, self._prefill.conditions
        assert self._plan is not None
        if self.phase is Phase.COMMIT:
            return self._plan.commit, StepKind.COMMIT, self._clean_pass, ()
        plan = self._plan.denoise if self._pass_index == 0 else replace(self._plan.denoise, moves=())
        return plan, StepKind.DENOISE, self._passes[self._pass_index], ()

    @property
    def _decoder_behind(self) -> bool:
        """A chunk waits for the decoder besides the one in it: another would only make switches come later."""
        return len(self._decoding) > 1

    def _complete(self) -> bool:
        return self.next_pts_s >= self.config.max_duration_s

    def _leave_boundary(self, now: float) -> None:
        if self._complete() or self._awaiting_reference:
            return
        may_start = self.playout.may_start(self.next_pts_s, now) and not self._decoder_behind
        # A segment that is prefilled and may start does start: switches that keep coming cannot hold the stream up.
        if (due := self._due_switch()) and not (self._applying and may_start):
            self._begin_switch(due, now)
        elif may_start:
            self._begin_chunk(now)

    def _begin_chunk(self, now: float) -> None:
        self._plan = plan_chunk(self._cache)
        frame_count = self._geometry.video_frames(first_chunk_of_segment=self._restart_next)
        cursor = Cursor(segment=self._plan.segment, chunk=self._plan.chunk)
        sequence = self.playout.started
        applied = None
        if self._applying is not None:
            applied = SwitchApplied(
                event_id=self._applying.switch.event_id,
                cursor=cursor,
                sequence=sequence,
                pts_s=self.next_pts_s,
                first_frame=self._next_frame,
                waited_s=now - self._applying.accepted_s,
            )
            self._applying = None
        self._chunk = Chunk(
            sequence=sequence,
            cursor=cursor,
            first_frame=self._next_frame,
            frame_count=frame_count,
            garment=self.garment,
            restarts_decoder=self._restart_next,
            applied=applied,
            timings=self._segment_timings,
        )
        self._segment_timings = Timings()
        self._restart_next = False
        self._pass_index = 0
        self.playout.started += 1
        self._next_frame += frame_count
        self._enter(Phase.DENOISE, now)

    def _denoised(self, step: Step, seconds: float, queued: float, now: float) -> None:
        assert self._chunk is not None
        timings = self._chunk.timings
        self._chunk.timings = replace(timings, denoise=timings.denoise + seconds, queue=timings.queue + queued)
        self._pass_index += 1
        if not step.last:
            self._enter(Phase.DENOISE, now)
            return
        self._chunk.decode_runnable_s = now
        self._decoding.append(self._chunk)
        self._chunk = None
        due = self._due_switch()
        if due and (due.switch.policy or self.config.policy).restarts_video:
            self._plan = None  # this chunk's keys would be withdrawn at once: no clean pass for it
            self._begin_switch(due, now)
        else:
            self._enter(Phase.COMMIT, now)

    def _decoded(self, step: Step, seconds: float, queued: float) -> None:
        chunk = self._decoding.popleft()
        assert chunk.sequence == step.sequence
        self._bank = step.write_bank
        timings = replace(chunk.timings, decode=seconds, queue=chunk.timings.queue + queued)
        info = ChunkInfo(
            sequence=chunk.sequence,
            cursor=chunk.cursor,
            pts_s=chunk.first_frame / self._fps,
            duration_s=chunk.frame_count / self._fps,
            first_frame=chunk.first_frame,
            frame_count=chunk.frame_count,
            garment=chunk.garment,
            applied_event_ids=(chunk.applied.event_id,) if chunk.applied else (),
            timings=timings,
        )
        before = (chunk.applied,) if chunk.applied else ()
        self._effects.append(EncodeMedia(session_id=self.id, info=info, before=before))
        if self._awaiting_reference and not self._decoding:
            self._awaiting_reference = False
            self._effects.append(EncodeReference(session_id=self.id))

    def _due_switch(self) -> PendingSwitch | None:
        """Of the switches that wait for this boundary and are ready, the one accepted last."""
        ready = (p for p in reversed(self._pending) if p.ready and p.switch.not_before_s <= self.next_pts_s)
        return next(ready, None)

    def _begin_switch(self, due: PendingSwitch, now: float) -> None:
        superseded = list(self._superseded_by(due))
        if self._applying is not None:
            self._pending.append(self._applying)
            superseded.insert(0, self._applying)
        for pending in superseded:
            self._reject(pending, "SWITCH_SUPERSEDED", f"{due.switch.event_id!r} came later and won the chunk boundary")
        self._pending.remove(due)
        policy: Policy = due.switch.policy or self.config.policy
        self._prefill = plan_switch(self._cache, policy)
        self._applying = due
        self.garment = due.switch.garment
        self.prompt = due.switch.prompt or self.prompt
        self._effects.append(BeginSegment(session_id=self.id, event_id=due.switch.event_id))
        if not policy.replaces_reference or self.playout.started == 0:
            self._enter(Phase.PREFILL, now)
            return
        self._enter(Phase.CONDITIONS, now)
        if self._decoding:
            self._awaiting_reference = True
        else:
            self._effects.append(EncodeReference(session_id=self.id))

    def _superseded_by(self, due: PendingSwitch) -> Iterator[PendingSwitch]:
        for pending in tuple(self._pending):
            if pending is due:
                return
            if pending.switch.not_before_s <= self.next_pts_s:
                yield pending

    def _reject(self, pending: PendingSwitch, reason: str, message: str) -> None:
        self._pending.remove(pending)
        event = SwitchRejected(event_id=pending.switch.event_id, code=Code.ABORTED, reason=reason, message=message)
        self._effects.append(DropSwitch(session_id=self.id, event_id=pending.switch.event_id))
        self._effects.append(Emit(session_id=self.id, event=event))
