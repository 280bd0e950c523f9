"""From a chunk's frames to its reader's stream: media are encoded in order, and what readers waited for is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

from service.core.events import ChunkReady, SwitchApplied
from service.core.steps import EncodeMedia
from service.runtime.observer import Observer
from service.runtime.session_data import SessionData
from service.runtime.tracer import Tracer


class Publisher:
    """Appends chunks to a session's stream."""

    def __init__(self, *, observer: Observer, tracer: Tracer, clock: Callable[[], float], threads: Executor) -> None:
        self._observer, self._tracer, self._clock, self._threads = observer, tracer, clock, threads

    async def publish(self, effect: EncodeMedia, data: SessionData) -> None:
        """Encode a chunk and append it, unless the session is over by then."""
        info = effect.info
        async with data.media_turn:  # fair, so chunks keep their order
            if data.over:
                return
            began_s = self._clock()
            frames = data.frames.pop(info.sequence)
            encode = partial(data.encoder.encode, frames, sequence=info.sequence, first_frame=info.first_frame)
            encoded = await asyncio.get_running_loop().run_in_executor(self._threads, encode)
            seconds = self._clock() - began_s
        if data.over:
            return
        now = self._clock()
        self._observer.stage("media", seconds)
        self._tracer.stage(effect.session_id, "media", began_s, began_s + seconds, info.sequence)
        made = data.tempo.chunk_ready(info.sequence, now)
        self._observer.chunk(made.chunk_s)
        if info.degradation:
            self._observer.degraded()
        if made.own_s is not None:
            self._observer.realtime_factor(info.duration_s / made.own_s)
        info = replace(info, timings=replace(info.timings, media=seconds))
        for event in effect.before:
            if isinstance(event, SwitchApplied):
                self._observer.switch("applied", now - event.since_s)
                data.switching[info.sequence] = event.since_s
            data.log.append(event)
        data.log.append(
            ChunkReady(
                info=info, init_segment=encoded.init_segment, media=encoded.media, frame_bytes=encoded.frame_bytes
            )
        )

    def sent(self, session_id: str, data: SessionData, event: ChunkReady) -> None:
        """A reader has it: tell what it waited for."""
        now = self._clock()
        if not data.first_sent:
            data.first_sent = True
            self._observer.time_to_first_frame(now - data.asked_s)
        if (since_s := data.switching.pop(event.info.sequence, None)) is not None:
            self._observer.switch("sent", now - since_s)
        for event_id in event.info.applied_event_ids:
            self._tracer.switch_done(session_id, event_id, now)
        self._tracer.sent(session_id, event.info.sequence, now)
