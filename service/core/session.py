"""One session: which step it needs next, what a switch does to it, when it ends.

The student and the decoder work at the same time: once a chunk's last denoising pass is done, its decoding, its clean
pass and the next chunk's passes go their own ways. A switch joins them: with a policy that replaces the reference, the
next segment waits for the last frame.

    CONDITIONS -> PREFILL -> BOUNDARY -> DENOISE -> COMMIT -> BOUNDARY -> ...
                                 |                               |
                                 +------- switch: CONDITIONS <---+
"""

from __future__ import annotations

from dataclasses import replace
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
from service.core.decoding import Chunk, Decoding
from service.core.errors import FailedPrecondition
from service.core.events import (
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
    Timings,
)
from service.core.machine import Input, transition
from service.core.pacing import Playout
from service.core.steps import (
    BeginSegment,
    ClearBlock,
    Effect,
    Emit,
    EncodeMedia,
    EncodeReference,
    Step,
    StepKind,
)
from service.core.switches import PendingSwitch, Switches

ATTACH_GRACE_S = 30.0


class Phase(Enum):
    CONDITIONS = auto()
    PREFILL = auto()
    BOUNDARY = auto()
    DENOISE = auto()
    COMMIT = auto()


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
        self._decoding = Decoding(session_id=session_id, block=block, playout=self.playout, fps=self._fps)
        self.switches = Switches(session_id, effects)
        self.garment = config.garment
        self.prompt = config.prompt
        self.phase = Phase.CONDITIONS
        self.phase_since_s = now
        self._cache = CacheState(geometry=geometry)
        self._prefill: PrefillPlan | None = plan_start(geometry)
        self._plan: ChunkPlan | None = None
        self._pass_index = 0
        self._chunk_began_s = self._student_took_s = 0.0
        self._chunk: Chunk | None = None
        self._restart_next = True
        self._applying: PendingSwitch | None = None
        self._awaiting_reference = False
        self._next_frame = 0
        self._segment_timings = Timings()

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
    def window_full(self) -> bool:
        """Its chunks cost as much as chunks can."""
        return self._cache.full

    @property
    def background(self) -> bool:
        """Takes only what real-time sessions leave of the engine."""
        return self.config.pacing is Pacing.UNPACED

    def paced_start_s(self) -> float | None:
        """When the next chunk may begin, if pacing alone holds it back."""
        waits = self.phase is Phase.BOUNDARY and self.generates and not self._complete() and not self._decoding.behind
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
        step = self._decoding.step(step_id)
        self.in_flight[step.id] = step
        return step

    def student_deadline_s(self) -> float:
        return self._deadline_s(self.phase_since_s)

    def decoder_deadline_s(self) -> float:
        return self._decoding.deadline_s()

    @property
    def chunk_took_s(self) -> float:
        """Student or decoder for the last chunk that each did, whichever is longer; waits for the engine included."""
        return max(self._student_took_s, self._decoding.took_s)

    def step_done(self, step: Step, *, seconds: float, queued: float, now: float) -> None:
        del self.in_flight[step.id]
        if self.state is State.ENDED:
            return
        if step.kind is StepKind.DECODE:
            self._decoded(step, seconds, queued, now)
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
            self._student_took_s = now - self._chunk_began_s
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
        self.switches.reject_all("SESSION_ENDED", "the session ended before the switch took effect")
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
        if (answer := self.switches.answered(switch)) is not None:
            return answer
        if self.state is State.ENDED:
            raise FailedPrecondition("SESSION_ENDED", "the session has ended", resource=self.id)
        return self.switches.accept(
            switch, earliest_sequence=self.playout.started, now=now, retry_after_s=self.playout.chunk_s
        )

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

    def _complete(self) -> bool:
        return self.next_pts_s >= self.config.max_duration_s

    def _leave_boundary(self, now: float) -> None:
        if self._complete() or self._awaiting_reference:
            return
        may_start = self.playout.may_start(self.next_pts_s, now) and not self._decoding.behind
        # A segment that is prefilled and may start does start: switches that keep coming cannot hold the stream up.
        if (due := self.switches.due(self.next_pts_s)) and not (self._applying and may_start):
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
        self._chunk_began_s = now
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
        self._decoding.push(self._chunk, now)
        self._chunk = None
        due = self.switches.due(self.next_pts_s)
        if due and (due.switch.policy or self.config.policy).restarts_video:
            self._plan = None  # this chunk's keys would be withdrawn at once: no clean pass for it
            self._begin_switch(due, now)
        else:
            self._enter(Phase.COMMIT, now)

    def _decoded(self, step: Step, seconds: float, queued: float, now: float) -> None:
        info, applied = self._decoding.done(step, seconds=seconds, queued=queued, now=now)
        self._effects.append(EncodeMedia(session_id=self.id, info=info, before=(applied,) if applied else ()))
        if self._awaiting_reference and not self._decoding:
            self._awaiting_reference = False
            self._effects.append(EncodeReference(session_id=self.id))

    def _begin_switch(self, due: PendingSwitch, now: float) -> None:
        self.switches.take(due, pts_s=self.next_pts_s, instead_of=self._applying)
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
