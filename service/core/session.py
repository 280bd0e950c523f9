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

from contract.cache_plan import Policy
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule
from service.core.decoding import Chunk, Decoding
from service.core.degradation import Degradation
from service.core.errors import FailedPrecondition
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
    Timings,
)
from service.core.hold import Hold
from service.core.machine import Input, transition
from service.core.pacing import Playout
from service.core.passes import Passes, Phase
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


class Session:
    """State of one session. Methods append to `effects`; `steps` says what could run.

    Args:
        idle_timeout_s: how long its client may hold it; see `Hold`.
        degradation: denoising passes that a chunk may go without; see `Degradation`.
    """

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
        idle_timeout_s: float,
        degradation: int,
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
        self.hold = Hold(limit_s=idle_timeout_s)
        self._geometry = geometry
        self._passes = Passes(geometry, schedule)
        self._created_s = created_s
        self._effects = effects
        self.playout = Playout(
            pacing=config.pacing, opened_s=now, chunk_s=geometry.video_frames(first_chunk_of_segment=False) / self._fps
        )
        self._degradation = Degradation(most=min(degradation, len(schedule.steps) - 1), chunk_s=self.playout.chunk_s)
        self._decoding = Decoding(session_id=session_id, block=block, playout=self.playout, fps=self._fps)
        self.switches = Switches(session_id, effects)
        self.garment = config.garment
        self.prompt = self._prompt_shown = config.prompt
        self.phase = Phase.CONDITIONS
        self.phase_since_s = now
        self._chunk_began_s = self._student_took_s = 0.0
        self._chunk: Chunk | None = None
        self._awaiting_reference = False
        self._next_frame = 0
        self._sent_s = 0.0
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
    def degraded(self) -> bool:
        """Its chunks go without some of their passes."""
        return self._degradation.level > 0

    @property
    def window_full(self) -> bool:
        """Its chunks attend as much as chunks can."""
        return self._passes.cache.full

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
            next=Cursor(segment=max(0, self._passes.cache.segment), chunk=self._passes.cache.chunk),
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
        work, place = self._passes.work(self.phase), self._passes.place
        step = Step(
            id=step_id,
            session_id=self.id,
            block=self.block,
            kind=work.kind,
            deadline_s=self._deadline_s(self.phase_since_s),
            runnable_s=self.phase_since_s,
            sequence=self._sequence_worked_on(work.kind),
            segment=place.segment,
            chunk=place.chunk,
            plan=work.plan,
            conditions=work.conditions,
            sigma_pass=work.sigma_pass,
            last=work.last,
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
            self._passes.prefilled()
            self._segment_timings = replace(self._segment_timings, prefill=seconds, queue=queued)
            self._enter(Phase.BOUNDARY, now)
        elif step.kind is StepKind.DENOISE:
            self._denoised(step, seconds, queued, now)
        else:
            self._passes.committed()
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

    def note_hold(self, now: float) -> None:
        """After any input: whether the session waits for nobody but its client."""
        at_rest = self.phase is Phase.BOUNDARY and self.generates and not self._decoding
        held = at_rest and (self._complete() or not self.playout.has_room)
        self.hold.note(held=held or self.state is State.PAUSED, attached=self.playout.attached, now=now)

    def timer_rang(self, now: float) -> None:
        """End if the reader, or what it should do, has been waited for long enough."""
        if self.detach_deadline_s is not None and self.detach_deadline_s <= now:
            self.end(EndReason.ABANDONED)
        elif self.hold.over(now):
            message = f"for {self.hold.limit_s:g} s it was paused, without credits or unread"
            self.end(EndReason.ABANDONED, message)

    def chunk_sent(self, info: ChunkInfo, now: float) -> bool:
        """True if it came after its time."""
        self._sent_s = max(self._sent_s, info.pts_s + info.duration_s)
        return self.playout.chunk_sent(info.sequence, info.pts_s, now)

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
        ended = Ended(reason=reason, message=message, generated_s=self._sent_s)
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
            switch,
            earliest_sequence=self.playout.started,
            pts_s=self.next_pts_s,
            now=now,
            retry_after_s=self.playout.chunk_s,
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

    def _complete(self) -> bool:
        return self.next_pts_s >= self.config.max_duration_s

    def _leave_boundary(self, now: float) -> None:
        # While the reader has no room, a switch would only cost passes that a later one makes useless.
        if self._complete() or not self.playout.has_room:
            return
        may_start = self.playout.may_start(self.next_pts_s, now) and not self._decoding.behind
        # A segment that is prefilled and may start does start: switches that keep coming cannot hold the stream up.
        if (due := self.switches.due()) and not (self.switches.applying and may_start):
            self._begin_switch(due, now)
        elif may_start:
            self._begin_chunk(now)

    def _begin_chunk(self, now: float) -> None:
        first_frame, sequence, place = self._next_frame, self.playout.started, self._passes.place
        degradation = self._level(now)
        frame_count = self._geometry.video_frames(first_chunk_of_segment=self._passes.restarts_video)
        applied = self.switches.applied(
            cursor=place,
            sequence=sequence,
            pts_s=self.next_pts_s,
            first_frame=first_frame,
            now=now,
            ran_since_s=self.hold.ended_s,
        )
        self._chunk = Chunk(
            sequence=sequence,
            cursor=place,
            began_s=now,
            first_frame=first_frame,
            frame_count=frame_count,
            garment=self.garment,
            degradation=degradation,
            restarts_decoder=self._passes.restarts_video,
            applied=applied,
            timings=self._segment_timings,
        )
        self._segment_timings = Timings()
        self._passes.begin_chunk(left_out=degradation)
        self._chunk_began_s = now
        self.playout.started += 1
        self._next_frame += frame_count
        self.switches.boundary_moved(self.next_pts_s, now)
        self._enter(Phase.DENOISE, now)

    def _level(self, now: float) -> int:
        """Passes that the next chunk goes without: none where a segment begins, as all that follows attends it."""
        if self._passes.place.chunk == 0:
            return 0
        slack_s = self.playout.slack_s(self.next_pts_s, now)
        return self._degradation.next_level(slack_s=slack_s, took_s=self._decoding.latency_s)

    def _denoised(self, step: Step, seconds: float, queued: float, now: float) -> None:
        assert self._chunk is not None
        timings = self._chunk.timings
        self._chunk.timings = replace(timings, denoise=timings.denoise + seconds, queue=timings.queue + queued)
        self._passes.denoised()
        if not step.last:
            self._enter(Phase.DENOISE, now)
            return
        self._decoding.push(self._chunk, now)
        self._chunk = None
        due = None if self._complete() else self.switches.due()
        if due and (due.switch.policy or self.config.policy).restarts_video:
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
        overtakes = self.switches.applying is not None
        if not overtakes:
            self._prompt_shown = self.prompt
        self.switches.begin(due)
        policy: Policy = due.switch.policy or self.config.policy
        self._passes.begin_segment(policy)
        self.garment = due.switch.garment
        self.prompt = due.switch.prompt or self._prompt_shown
        self._effects.append(BeginSegment(session_id=self.id, event_id=due.switch.event_id, overtakes=overtakes))
        if not policy.replaces_reference or self.playout.started == 0:
            self._enter(Phase.PREFILL, now)
            return
        self._enter(Phase.CONDITIONS, now)
        if self._decoding:
            self._awaiting_reference = True
        else:
            self._effects.append(EncodeReference(session_id=self.id))
