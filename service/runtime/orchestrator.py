"""The one owner of the core's state: feeds it inputs, runs its steps on the engine, carries out its effects.

Everything here runs on one event loop, and the core is only touched between awaits, so no two inputs ever meet.
Media encoding and large arithmetic run in threads. Above 400 lines, as every input of the core has one place here.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from contract.geometry import StudentGeometry
from service.core.admission import Capacity
from service.core.core import ENGINE_GRACE_S, IDLE_TIMEOUT_S, Core
from service.core.degradation import MOST_LEFT_OUT
from service.core.errors import FailedPrecondition, NotFound, ServiceError
from service.core.events import (
    ChunkReady,
    Cursor,
    Ended,
    EndReason,
    Pacing,
    SessionConfig,
    SessionView,
    Started,
    State,
    Switch,
    SwitchAccepted,
    SwitchRejected,
)
from service.core.steps import (
    BeginSegment,
    ClearBlock,
    DropSwitch,
    Effect,
    Emit,
    EncodeMedia,
    EncodeReference,
    Release,
    Step,
)
from service.engine.base import Engine, EngineError, EngineUnavailable
from service.media.video import open_encoder
from service.runtime.alarm import Alarm
from service.runtime.engine_calls import EngineCalls
from service.runtime.garments import GARMENT_BYTES, GarmentStore, NewGarment
from service.runtime.observer import Observer
from service.runtime.publisher import Publisher
from service.runtime.session_data import ComingSwitch, SessionData
from service.runtime.step_runner import StepRunner
from service.runtime.stream import StreamLog, Subscription
from service.runtime.tasks import Tasks, incident
from service.runtime.tracer import NoTracer, Tracer
from service.threads import started_pool

BOOKS_S = 0.1
"""After an input, how long until the observer hears how many sessions and blocks there are: counting takes time in
proportion to the sessions, and inputs come several a chunk."""


class Orchestrator:
    """Sessions over an engine. Create, `start`, use, `close`; all on one event loop."""

    def __init__(
        self,
        engine: Engine,
        *,
        observer: Observer,
        tracer: Tracer | None = None,
        max_sessions_per_tenant: int | None = None,
        engine_grace_s: float = ENGINE_GRACE_S,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        degradation: int = MOST_LEFT_OUT,
        garment_bytes: int = GARMENT_BYTES,
        threads: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._observer = observer
        self._tracer = tracer or NoTracer()
        self._clock = clock
        self._make_core = partial(
            Core,
            max_sessions_per_tenant=max_sessions_per_tenant,
            engine_grace_s=engine_grace_s,
            idle_timeout_s=idle_timeout_s,
            degradation=degradation,
        )
        self._threads = started_pool(threads, "chameleon")
        self._data: dict[str, SessionData] = {}
        self._ended_logs: dict[str, StreamLog] = {}
        """Of sessions that are over, for their detach grace."""
        self._tasks = Tasks()
        self._alarm = Alarm(self._tick, clock)
        self._books = Alarm(self._observe_books, clock)
        self._drained = asyncio.Event()
        self._closed = False
        self._core: Core
        self._calls = EngineCalls(
            engine, observer=observer, tracer=self._tracer, clock=clock, on_down=self._engine_down
        )
        self._steps = StepRunner(engine, self._threads)
        self._publisher = Publisher(observer=observer, tracer=self._tracer, clock=clock, threads=self._threads)
        self.garments = GarmentStore(self._calls.encode_image, max_bytes=garment_bytes)

    async def start(self) -> None:
        """Start the engine; ready when this returns."""
        await self._engine.start(on_down=self._engine_down, on_up=self._engine_came_up)
        self._core = self._make_core(
            geometry=self._engine.geometry,
            schedule=self._engine.schedule,
            blocks=self._engine.blocks,
            chunk_cost_s=self._engine.chunk_cost_s,
        )
        self._calls.engine_up()
        self._observer.engine_up(True)
        self._observe_books()

    async def close(self) -> None:
        """End what runs, wait for calls in flight, stop the engine."""
        if self._closed:
            return
        self._closed = True
        self._calls.close()
        for view in self._core.views():
            self._core.end(view.id, EndReason.DRAINED, "the server shut down")
        self._pump()
        await self._tasks.finish()
        self._alarm.set(None)
        self._books.set(None)
        await self.garments.close()
        await self._engine.close()
        self._threads.shutdown()

    # What callers may ask

    @property
    def geometry(self) -> StudentGeometry:
        return self._engine.geometry

    @property
    def engine_up(self) -> bool:
        return self._calls.up

    @property
    def draining(self) -> bool:
        return self._core.draining

    @property
    def ready(self) -> bool:
        return self.engine_up and not self._core.draining

    def token_count(self, prompt: str) -> int:
        return self._engine.token_count(prompt)

    def check_session(self, config: SessionConfig) -> None:
        """What `create_session` would refuse now; `config.garment` is empty if it is to come. A refusal is counted."""
        if config.garment:
            self.garments.check(config.tenant, config.garment)
        try:
            self._core.check_room(config.tenant, config.pacing, self._clock())
        except ServiceError as error:
            self._observer.rejected(error.reason)
            raise

    async def create_session(
        self,
        config: SessionConfig,
        *,
        person_rgb: NDArray[np.uint8],
        garment: NewGarment | None = None,
        asked_s: float | None = None,
    ) -> SessionView:
        """Open a session; pictures and prompt are encoded in the background.

        Args:
            person_rgb: [H, W, 3], the frame's size.
            garment: `config.garment`, if it came with the request.
            asked_s: when the request came in, on the monotonic clock; None: now.
        """
        self.check_session(config if garment is None else replace(config, garment=""))
        encoder = open_encoder(
            config.format,
            height=self.geometry.frame_height,
            width=self.geometry.frame_width,
            frames_per_second=self.geometry.frames_per_second,
            jpeg_quality=config.jpeg_quality,
        )
        session_id, now = uuid.uuid4().hex, self._clock()
        view = self._core.open(session_id, config, now=now, created_s=time.time())
        worn = self.garments.claim(config.tenant, config.garment, garment)
        asked_s = now if asked_s is None else asked_s
        data = self._data[session_id] = SessionData(config=config, encoder=encoder, worn=worn, asked_s=asked_s)
        self._tracer.opened(session_id, asked_s, now, pacing=config.pacing.name, format=config.format.name)
        self._tasks.spawn(self._open(session_id, data, person_rgb), f"open {session_id}", self._loses(session_id))
        self._pump()
        return view

    def get_session(self, tenant: str, session_id: str) -> SessionView:
        """NotFound also for another tenant's session: its existence is not told."""
        view = self._core.view(session_id)
        if view.config.tenant != tenant:
            raise NotFound("SESSION_NOT_FOUND", f"no session {session_id}", resource=session_id)
        return view

    def list_sessions(self, tenant: str) -> list[SessionView]:
        """Newest first."""
        return [view for view in self._core.views() if view.config.tenant == tenant]

    async def end_session(self, tenant: str, session_id: str) -> None:
        self.get_session(tenant, session_id)
        self._core.end(session_id, EndReason.STOPPED)
        self._pump()

    async def switch_garment(
        self, tenant: str, session_id: str, switch: Switch, garment: NewGarment | None = None
    ) -> SwitchAccepted:
        """Accept a switch and encode what it brings; `garment`: `switch.garment`, if it came with the request."""
        self.get_session(tenant, session_id)
        known = self._core.knows_switch(session_id, switch.event_id)
        if not known:
            if garment is None:
                self.garments.check(tenant, switch.garment)
            if session_id in self._data:
                self._data[session_id].log.check_unread()
        now = self._clock()
        accepted = self._core.switch(session_id, switch, now)
        if not known:
            coming = ComingSwitch(claim=self.garments.claim(tenant, switch.garment, garment))
            self._data[session_id].switches[switch.event_id] = coming
            self._tasks.spawn(
                self._prepare_switch(session_id, coming, switch),
                f"switch {switch.event_id}",
                lambda message: self._switch_failed(session_id, switch.event_id, "INTERNAL", message),
            )
            self._observer.switch("accepted", self._clock() - now)
            self._tracer.switch_asked(session_id, switch.event_id, now)
        self._pump()
        return accepted

    def attach(self, tenant: str, session_id: str, cursor: Cursor | None) -> Subscription:
        """Become the session's reader; see `Subscription`."""
        view = self.get_session(tenant, session_id)
        stream_log = self._data[session_id].log if session_id in self._data else self._ended_logs.get(session_id)
        if stream_log is None:
            raise FailedPrecondition("SESSION_ENDED", "the session ended a while ago", resource=session_id)
        subscription = Subscription(
            stream_log,
            started=Started(session=view),
            cursor=cursor,
            newest=view.next,
            on_sent=lambda event: self._sent(session_id, event),
            on_close=lambda: self._detached(session_id),
        )
        if view.state is not State.ENDED:
            self._core.attach(session_id, from_sequence=stream_log.next_chunk)
        self._pump()
        return subscription

    def grant(self, tenant: str, session_id: str, chunks: int) -> None:
        self.get_session(tenant, session_id)
        self._core.grant(session_id, chunks)
        self._pump()

    def pause(self, tenant: str, session_id: str) -> None:
        self.get_session(tenant, session_id)
        self._core.pause(session_id)
        self._pump()

    def resume(self, tenant: str, session_id: str) -> None:
        self.get_session(tenant, session_id)
        self._core.resume(session_id)
        self._pump()

    def capacity(self, pacing: Pacing) -> Capacity:
        return self._core.capacity(pacing, self._clock())

    def begin_drain(self, grace_s: float) -> None:
        """Refuse new sessions; those that run may finish within the grace."""
        self._core.drain(grace_s, self._clock())
        self._pump()

    async def drained(self) -> None:
        """Returns once no session is left after `begin_drain`."""
        await self._drained.wait()

    # The pump: after every input, carry out what the core wants done

    def _pump(self) -> None:
        now = self._clock()
        while True:
            effects = self._core.take_effects(now)
            steps = self._core.next_steps(now)
            if not effects and not steps:
                break
            for effect in effects:
                self._carry_out(effect)
            for step in steps:
                self._tasks.spawn(self._run(step), f"{step.kind} {step.session_id}", self._loses(step.session_id))
        self._alarm.set(None if self._closed else self._core.next_wake_s())
        if not self._books.is_set and not self._closed:
            self._books.set(now + BOOKS_S)
        if self._core.draining and self._core.idle:
            self._drained.set()

    def _tick(self) -> None:
        self._core.tick(self._clock())
        self._pump()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Emit(session_id=session_id, event=event):
                data = self._data[session_id]
                if isinstance(event, Ended):  # chunks that are on the stream already are sent before it
                    event = replace(event, generated_s=data.log.video_s)
                data.log.append(event)
                if isinstance(event, SwitchRejected):
                    self._tracer.switch_done(session_id, event.event_id, self._clock(), event.reason)
                if isinstance(event, Ended):
                    data.over = True
                    self._observer.ended(event.reason)
                    self._tracer.ended(session_id, event.reason.name, self._clock())
            case BeginSegment(session_id=session_id, event_id=event_id, overtakes=overtakes):
                self._data[session_id].begin_segment(event_id, self._clock(), overtakes=overtakes)
            case DropSwitch(session_id=session_id, event_id=event_id):
                self._data[session_id].drop_switch(event_id)
            case EncodeReference(session_id=session_id):
                work = self._encode_reference(session_id, self._data[session_id])
                self._tasks.spawn(work, f"encode reference {session_id}", self._loses(session_id))
            case EncodeMedia(session_id=session_id):
                work = self._publisher.publish(effect, self._data[session_id])
                self._tasks.spawn(work, f"encode media {session_id}", self._loses(session_id))
            case ClearBlock(block=block):
                self._tasks.spawn(self._clear(block), f"clear block {block}")
            case Release(session_id=session_id):
                data = self._data.pop(session_id)
                self._keep_log(session_id, data)
                self._tasks.spawn(data.close(), f"close encoder {session_id}")

    def _keep_log(self, session_id: str, data: SessionData) -> None:
        """A reader whose connection broke at the very end may come back for it, as for any other part."""
        self._ended_logs[session_id] = data.log
        loop = asyncio.get_running_loop()
        loop.call_later(data.config.detach_grace_s, self._ended_logs.pop, session_id, None)

    def _loses(self, session_id: str) -> Callable[[str], None]:
        """For work without which a session cannot go on: ends it with the reason."""

        def lose(message: str) -> None:
            self._core.end(session_id, EndReason.LOST, f"SESSION_LOST: {message}")
            self._pump()

        return lose

    def _switch_failed(self, session_id: str, event_id: str, reason: str, message: str) -> None:
        self._core.switch_failed(session_id, event_id, reason=reason, message=message)
        self._pump()

    # Background work

    async def _open(self, session_id: str, data: SessionData, person_rgb: NDArray[np.uint8]) -> None:
        try:
            await self._calls.prepare_session(session_id, data, person_rgb)
        except (EngineError, ServiceError) as error:
            self._core.end(session_id, EndReason.LOST, f"the pictures or the prompt could not be encoded: {error}")
        else:
            self._core.opened(session_id, self._clock())
        self._pump()

    async def _prepare_switch(self, session_id: str, coming: ComingSwitch, switch: Switch) -> None:
        try:
            await self._calls.prepare_switch(session_id, coming, switch.prompt)
        except ServiceError as error:
            self._switch_failed(session_id, switch.event_id, error.reason, error.message)
        except EngineError as error:
            self._switch_failed(session_id, switch.event_id, "ENGINE_FAILED", str(error))
        else:
            self._core.switch_ready(session_id, switch.event_id)
            self._pump()

    async def _encode_reference(self, session_id: str, data: SessionData) -> None:
        began_s = self._clock()
        try:
            await self._calls.prepare_reference(session_id, data)
        except EngineError as error:
            self._core.end(session_id, EndReason.LOST, f"the new reference could not be encoded: {error}")
        else:
            self._core.reference_ready(session_id, seconds=self._clock() - began_s, now=self._clock())
        self._pump()

    async def _run(self, step: Step) -> None:
        began_s = self._clock()
        queued_s = began_s - step.runnable_s
        data, error = self._data[step.session_id], ""
        data.tempo.step_began(step, began_s)
        try:
            await self._steps.run(step, data)
        except EngineUnavailable as unavailable:
            error = str(unavailable)
            self._core.step_returned(step, self._clock())
        except Exception as failure:
            refused = isinstance(failure, EngineError)
            error = str(failure) if refused else incident(failure, f"{step.kind} {step.session_id}")
            self._core.step_failed(step, error, self._clock())
        else:
            now = self._clock()
            self._core.step_done(step, seconds=now - began_s, queued=queued_s, now=now)
            data.tempo.step_ended(step, now)
            self._observer.stage("queue", queued_s)
            self._observer.stage(step.kind.value, now - began_s)
        self._tracer.stage(step.session_id, step.kind.value, began_s, self._clock(), step.sequence, error)
        self._pump()

    async def _clear(self, block: int) -> None:
        try:
            await self._calls.clear(block)
        except EngineUnavailable:
            return  # the server stops: nobody gets the block any more
        self._core.cleared(block)
        self._pump()

    # Inputs from elsewhere

    def _engine_down(self) -> None:
        if self._calls.up and not self._closed:
            self._calls.engine_down()
            self._observer.engine_up(False)
            self._core.engine_down(self._clock())
            self._pump()

    def _engine_came_up(self, kept: bool) -> None:
        self._calls.engine_up()
        self._observer.engine_up(True)
        self._core.engine_up(kept=kept)
        self._pump()

    def _observe_books(self) -> None:
        self._observer.sessions(self._core.session_counts())
        self._observer.cache_slots(self._core.block_counts())
        room = self.capacity(Pacing.REALTIME)
        self._observer.capacity(room.open + room.available)

    def _sent(self, session_id: str, event: ChunkReady) -> None:
        if session_id not in self._data:
            return
        if self._core.sent(session_id, event.info, self._clock()):
            self._observer.deadline_miss()
        self._publisher.sent(session_id, self._data[session_id], event)
        self._pump()

    def _detached(self, session_id: str) -> None:
        self._core.detach(session_id, self._clock())
        if not self._closed:
            self._pump()
