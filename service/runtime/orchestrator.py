"""The one owner of the core's state: feeds it inputs, runs its steps on the engine, carries out its effects.

Everything here runs on one event loop, and the core is only touched between awaits, so no two inputs ever meet.
Media encoding and large arithmetic run in threads.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.cache_plan import Role
from contract.geometry import StudentGeometry
from service.core.admission import Capacity
from service.core.core import Core
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
    StepKind,
)
from service.engine.base import DecodeRequest, Engine, EngineError, EngineUnavailable, Frames, Latents, PassRequest
from service.media.video import ChunkEncoder, open_encoder
from service.runtime.garments import GarmentStore
from service.runtime.observer import Observer
from service.runtime.sampler import clean_estimate, pass_input
from service.runtime.stream import StreamLog, Subscription
from service.runtime.tempo import Tempo
from service.runtime.tracer import NoTracer, Tracer

log = logging.getLogger(__name__)
T = TypeVar("T")
Text = NDArray[np.float32]

BOOKS_S = 0.1
"""After an input, how long until the observer hears how many sessions and blocks there are: counting takes time in
proportion to the sessions, and inputs come several a chunk."""

_ITEMS_ON_THE_LOOP = 1 << 14
"""A chunk of so few numbers is computed sooner than a thread is woken."""


@dataclass(slots=True, kw_only=True)
class _Prepared:
    """What a switch brings, encoded on arrival."""

    garment: Latents
    text: Text | None
    accepted_s: float


@dataclass(slots=True, kw_only=True)
class _SessionData:
    """The arrays of a session; the core holds everything else."""

    config: SessionConfig
    encoder: ChunkEncoder
    asked_s: float
    """When its request came in."""
    log: StreamLog = field(default_factory=StreamLog)
    reference: Latents | None = None
    garment: Latents | None = None
    text: Text | None = None
    clean: Latents | None = None
    """Clean estimate of the chunk being denoised, [F, C, h, w]."""
    decoding: dict[int, Latents] = field(default_factory=dict)
    frames: dict[int, Frames] = field(default_factory=dict)
    last_frame: NDArray[np.uint8] | None = None
    prepared: dict[str, _Prepared] = field(default_factory=dict)
    switching: dict[int, float] = field(default_factory=dict)
    """Chunk sequence -> when the switch that it shows was accepted."""
    applying_since_s: float | None = None
    media_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    first_sent: bool = False
    over: bool = False
    """Ended has been told; nothing may follow it."""
    tempo: Tempo = field(default_factory=Tempo)


class Orchestrator:
    """Sessions over an engine. Create, `start`, use, `close`; all on one event loop."""

    def __init__(
        self,
        engine: Engine,
        *,
        observer: Observer,
        tracer: Tracer | None = None,
        max_sessions_per_tenant: int | None = None,
        threads: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._observer = observer
        self._tracer = tracer or NoTracer()
        self._clock = clock
        self._max_sessions_per_tenant = max_sessions_per_tenant
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="chameleon")
        self._data: dict[str, _SessionData] = {}
        self._ended_logs: dict[str, StreamLog] = {}
        """Of sessions that are over, for their detach grace."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s: float | None = None
        self._books_timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._closed = False
        self._core: Core
        self._up = asyncio.Event()
        self.garments = GarmentStore(lambda rgb: self._persist("encode", lambda: engine.encode_image(rgb)))

    async def start(self) -> None:
        """Start the engine; ready when this returns."""
        await self._engine.start(on_down=self._engine_down, on_up=self._engine_came_up)
        self._core = Core(
            geometry=self._engine.geometry,
            schedule=self._engine.schedule,
            blocks=self._engine.blocks,
            max_sessions_per_tenant=self._max_sessions_per_tenant,
        )
        self._up.set()
        self._observer.engine_up(True)
        self._observe_books()

    async def close(self) -> None:
        """End what runs, wait for calls in flight, stop the engine."""
        if self._closed:
            return
        self._closed = True
        self._up.set()  # whoever waits for the engine gives up
        for view in self._core.views():
            self._core.end(view.id, EndReason.DRAINED, "the server shut down")
        self._pump()
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))
        for timer in (self._timer, self._books_timer):
            if timer is not None:
                timer.cancel()
        await self.garments.close()
        await self._engine.close()
        self._threads.shutdown()

    # What callers may ask

    @property
    def geometry(self) -> StudentGeometry:
        return self._engine.geometry

    @property
    def engine_up(self) -> bool:
        return self._up.is_set()

    @property
    def draining(self) -> bool:
        return self._core.draining

    @property
    def ready(self) -> bool:
        return self.engine_up and not self._core.draining

    def token_count(self, prompt: str) -> int:
        return self._engine.token_count(prompt)

    async def create_session(
        self, config: SessionConfig, *, person_rgb: NDArray[np.uint8], asked_s: float | None = None
    ) -> SessionView:
        """Open a session; pictures and prompt are encoded in the background.

        Args:
            person_rgb: [H, W, 3], the frame's size.
            asked_s: when the request came in, on the monotonic clock; None: now.
        """
        self.garments.get(config.tenant, config.garment)
        session_id = uuid.uuid4().hex
        now = self._clock()
        try:
            view = self._core.open(session_id, config, now=now, created_s=time.time())
        except ServiceError as error:
            self._observer.rejected(error.reason)
            raise
        geometry = self._engine.geometry
        encoder = open_encoder(
            config.format,
            height=geometry.frame_height,
            width=geometry.frame_width,
            frames_per_second=geometry.frames_per_second,
            jpeg_quality=config.jpeg_quality,
        )
        asked_s = now if asked_s is None else asked_s
        self._data[session_id] = _SessionData(config=config, encoder=encoder, asked_s=asked_s)
        self._tracer.opened(session_id, asked_s, now, pacing=config.pacing.name, format=config.format.name)
        self._spawn(self._open(session_id, person_rgb), f"open {session_id}")
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

    async def switch_garment(self, tenant: str, session_id: str, switch: Switch) -> SwitchAccepted:
        """Accept a switch and encode what it brings."""
        self.get_session(tenant, session_id)
        self.garments.get(tenant, switch.garment)
        known = self._core.knows_switch(session_id, switch.event_id)
        now = self._clock()
        accepted = self._core.switch(session_id, switch, now)
        if not known:
            self._spawn(self._prepare_switch(tenant, session_id, switch, now), f"switch {switch.event_id}")
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
            self._core.attach(session_id)
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
                self._spawn(self._run(step), f"{step.kind} {step.session_id}")
        self._set_timer(self._core.next_wake_s())
        if self._books_timer is None and not self._closed:
            self._books_timer = asyncio.get_running_loop().call_later(BOOKS_S, self._observe_books)
        if self._core.draining and self._core.idle:
            self._drained.set()

    def _set_timer(self, when_s: float | None) -> None:
        if when_s == self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_s = when_s
        if when_s is not None and not self._closed:
            delay_s = max(0.0, when_s - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = self._timer_s = None
        self._core.tick(self._clock())
        self._pump()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Emit(session_id=session_id, event=event):
                data = self._data[session_id]
                data.log.append(event)
                if isinstance(event, SwitchRejected):
                    self._tracer.switch_done(session_id, event.event_id, self._clock(), event.reason)
                if isinstance(event, Ended):
                    data.over = True
                    self._observer.ended(event.reason)
                    self._tracer.ended(session_id, event.reason.name, self._clock())
            case BeginSegment(session_id=session_id, event_id=event_id):
                data = self._data[session_id]
                prepared = data.prepared.pop(event_id)
                data.garment = prepared.garment
                data.text = data.text if prepared.text is None else prepared.text
                data.applying_since_s = prepared.accepted_s
                data.tempo.goes_on(self._clock())
            case DropSwitch(session_id=session_id, event_id=event_id):
                self._data[session_id].prepared.pop(event_id, None)
            case EncodeReference(session_id=session_id):
                self._spawn(self._encode_reference(session_id), f"encode reference {session_id}")
            case EncodeMedia():
                self._spawn(self._encode_media(effect), f"encode media {effect.session_id}")
            case ClearBlock(block=block):
                self._spawn(self._clear(block), f"clear block {block}")
            case Release(session_id=session_id):
                data = self._data.pop(session_id)
                self._keep_log(session_id, data)
                self._spawn(self._close_encoder(data), f"close encoder {session_id}")

    def _keep_log(self, session_id: str, data: _SessionData) -> None:
        """A reader whose connection broke at the very end may come back for it, as for any other part."""
        self._ended_logs[session_id] = data.log
        loop = asyncio.get_running_loop()
        loop.call_later(data.config.detach_grace_s, self._ended_logs.pop, session_id, None)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %r failed", task.get_name(), exc_info=error)

    async def _in_thread(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    # Background work

    async def _open(self, session_id: str, person_rgb: NDArray[np.uint8]) -> None:
        data = self._data[session_id]
        try:
            reference, garment, text = await asyncio.gather(
                self._traced(
                    session_id, "encode person", self._persist("encode", lambda: self._engine.encode_image(person_rgb))
                ),
                self._traced(
                    session_id, "encode garment", self.garments.latents(data.config.tenant, data.config.garment)
                ),
                self._traced(
                    session_id, "text", self._persist("text", lambda: self._engine.encode_text(data.config.prompt))
                ),
            )
        except (EngineError, ServiceError) as error:
            self._core.end(session_id, EndReason.LOST, f"the pictures or the prompt could not be encoded: {error}")
        else:
            data.reference, data.garment, data.text = reference, garment, text
            self._core.opened(session_id, self._clock())
        self._pump()

    async def _prepare_switch(self, tenant: str, session_id: str, switch: Switch, accepted_s: float) -> None:
        try:
            garment = await self._traced(session_id, "encode garment", self.garments.latents(tenant, switch.garment))
            prompt = switch.prompt
            text = None
            if prompt is not None:
                text = await self._traced(
                    session_id, "text", self._persist("text", lambda: self._engine.encode_text(prompt))
                )
        except ServiceError as error:
            self._core.switch_failed(session_id, switch.event_id, reason=error.reason, message=error.message)
        except EngineError as error:
            self._core.switch_failed(session_id, switch.event_id, reason="ENGINE_FAILED", message=str(error))
        else:
            if session_id in self._data:
                prepared = _Prepared(garment=garment, text=text, accepted_s=accepted_s)
                self._data[session_id].prepared[switch.event_id] = prepared
                self._core.switch_ready(session_id, switch.event_id)
        self._pump()

    async def _encode_reference(self, session_id: str) -> None:
        data = self._data[session_id]
        frame = _present(data.last_frame)
        began_s = self._clock()
        try:
            reference = await self._traced(
                session_id, "encode reference", self._persist("encode", lambda: self._engine.encode_image(frame))
            )
        except EngineError as error:
            self._core.end(session_id, EndReason.LOST, f"the new reference could not be encoded: {error}")
        else:
            data.reference = reference
            self._core.reference_ready(session_id, seconds=self._clock() - began_s, now=self._clock())
        self._pump()

    async def _run(self, step: Step) -> None:
        began_s = self._clock()
        queued_s = began_s - step.runnable_s
        tempo = self._data[step.session_id].tempo
        tempo.step_began(step, began_s)
        error = ""
        try:
            if step.kind is StepKind.DECODE:
                await self._decode(step)
            else:
                await self._run_pass(step)
        except EngineUnavailable as unavailable:
            error = str(unavailable)
            self._core.step_returned(step, self._clock())
        except EngineError as refused:
            error = str(refused)
            self._core.step_failed(step, error, self._clock())
        else:
            now = self._clock()
            self._core.step_done(step, seconds=now - began_s, queued=queued_s, now=now)
            tempo.step_ended(step, now)
            self._observer.stage("queue", queued_s)
            self._observer.stage(step.kind.value, now - began_s)
        self._tracer.stage(step.session_id, step.kind.value, began_s, self._clock(), step.sequence, error)
        self._pump()

    async def _run_pass(self, step: Step) -> None:
        data = self._data[step.session_id]
        assert step.plan is not None
        if step.kind is StepKind.PREFILL:
            latents = {Role.REFERENCE: data.reference, Role.GARMENT: data.garment}
            conditions = np.concatenate([_present(latents[role]) for role in step.conditions])
            request = PassRequest(
                block=step.block, plan=step.plan, latent=conditions, timestep=0, text_context=_present(data.text)
            )
            await self._engine.run_pass(request)
            return
        assert step.sigma_pass is not None
        shape = (self._engine.geometry.chunk_frames, *self._engine.geometry.latent_shape)
        make_input = partial(
            pass_input,
            step.sigma_pass,
            data.clean,
            seed=data.config.seed,
            segment=step.segment,
            chunk=step.chunk,
            shape=shape,
        )
        noisy = make_input() if prod(shape) <= _ITEMS_ON_THE_LOOP else await self._in_thread(make_input)
        request = PassRequest(block=step.block, plan=step.plan, latent=noisy, timestep=step.sigma_pass.timestep)
        flow = await self._engine.run_pass(request)
        if step.kind is StepKind.DENOISE:
            data.clean = clean_estimate(step.sigma_pass, noisy, flow)
            if step.last:
                data.decoding[step.sequence] = data.clean

    async def _decode(self, step: Step) -> None:
        data = self._data[step.session_id]
        frames = await self._engine.decode(
            DecodeRequest(
                block=step.block,
                latent=data.decoding[step.sequence],
                read_bank=step.read_bank,
                write_bank=step.write_bank,
            )
        )
        del data.decoding[step.sequence]
        data.frames[step.sequence] = frames
        data.last_frame = frames[-1]

    async def _encode_media(self, effect: EncodeMedia) -> None:
        data = self._data[effect.session_id]
        info = effect.info
        async with data.media_turn:  # fair, so chunks keep their order
            if data.over:
                return
            began_s = self._clock()
            frames = data.frames.pop(info.sequence)
            encoded = await self._in_thread(
                data.encoder.encode, frames, sequence=info.sequence, first_frame=info.first_frame
            )
            seconds = self._clock() - began_s
        if data.over:
            return
        now = self._clock()
        self._observer.stage("media", seconds)
        self._tracer.stage(effect.session_id, "media", began_s, began_s + seconds, info.sequence)
        made = data.tempo.chunk_ready(info.sequence, now)
        self._observer.chunk(made.chunk_s)
        if made.own_s is not None:
            self._observer.realtime_factor(info.duration_s / made.own_s)
        info = replace(info, timings=replace(info.timings, media=seconds))
        if effect.before and data.applying_since_s is not None:
            self._observer.switch("applied", now - data.applying_since_s)
            data.switching[info.sequence] = data.applying_since_s
        for event in effect.before:
            data.log.append(event)
        data.log.append(
            ChunkReady(
                info=info, init_segment=encoded.init_segment, media=encoded.media, frame_bytes=encoded.frame_bytes
            )
        )

    async def _clear(self, block: int) -> None:
        await self._persist(None, lambda: self._engine.clear(block))
        self._core.cleared(block)
        self._pump()

    @staticmethod
    async def _close_encoder(data: _SessionData) -> None:
        async with data.media_turn:
            data.encoder.close()

    async def _traced(self, session_id: str, stage: str, work: Awaitable[T]) -> T:
        began_s, error = self._clock(), ""
        try:
            return await work
        except Exception as failure:
            error = str(failure)
            raise
        finally:
            self._tracer.stage(session_id, stage, began_s, self._clock(), error=error)

    async def _persist(self, stage: str | None, call: Callable[[], Awaitable[T]]) -> T:
        """Call the engine; if it goes down, again once it is back. EngineError if it refuses, or the server closes."""
        while True:
            await self._up.wait()
            began_s = self._clock()
            try:
                result = await call()
            except EngineUnavailable:
                if self._closed:
                    raise
                self._engine_down()
                continue
            if stage is not None:
                self._observer.stage(stage, self._clock() - began_s)
            return result

    # Inputs from elsewhere

    def _engine_down(self) -> None:
        if self._up.is_set() and not self._closed:
            self._up.clear()
            self._observer.engine_up(False)
            self._core.engine_down(self._clock())
            self._pump()

    def _engine_came_up(self, kept: bool) -> None:
        self._up.set()
        self._observer.engine_up(True)
        self._core.engine_up(kept=kept)
        self._pump()

    def _observe_books(self) -> None:
        self._books_timer = None
        self._observer.sessions(self._core.session_counts())
        self._observer.cache_slots(self._core.block_counts())
        room = self.capacity(Pacing.REALTIME)
        self._observer.capacity(room.open + room.available)

    def _sent(self, session_id: str, event: ChunkReady) -> None:
        if session_id not in self._data:
            return
        data, now = self._data[session_id], self._clock()
        if self._core.sent(session_id, event.info.sequence, event.info.pts_s, now):
            self._observer.deadline_miss()
        if not data.first_sent:
            data.first_sent = True
            self._observer.time_to_first_frame(now - data.asked_s)
        if (accepted_s := data.switching.pop(event.info.sequence, None)) is not None:
            self._observer.switch("sent", now - accepted_s)
        for event_id in event.info.applied_event_ids:
            self._tracer.switch_done(session_id, event_id, now)
        self._tracer.sent(session_id, event.info.sequence, now)
        self._pump()

    def _detached(self, session_id: str) -> None:
        self._core.detach(session_id, self._clock())
        if not self._closed:
            self._pump()


def _present(value: T | None) -> T:
    """The core asks for data only after it told the runtime to make it."""
    assert value is not None
    return value
