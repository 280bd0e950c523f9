"""A session's events on one gRPC stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from fashionchameleon.v1 import customization_service_pb2 as pb

from service.core.errors import Aborted
from service.core.events import ChunkReady, Ended, EndReason, StreamEvent
from service.rpc.convert import stream_events
from service.runtime.observer import Observer
from service.runtime.stream import Subscription

Write = Callable[[pb.StreamEvent], Awaitable[None]]


class EventWriter:
    """Writes events whole: nothing comes between a chunk's header and its parts. Nothing follows Ended.

    It holds one chunk at a time: a reader that does not read blocks `write`, and with it the session's generation.

    Args:
        unread_limit_s: how long a message may wait to be taken.
    """

    def __init__(self, write: Write, observer: Observer, *, unread_limit_s: float) -> None:
        self._write = write
        self._unread_limit_s = unread_limit_s
        self._observer = observer
        self._turn = asyncio.Lock()
        self._init_sent = False
        self._over = False

    async def pour(self, subscription: Subscription) -> None:
        """Write everything until the end.

        Raises:
            Aborted: SESSION_LOST, behind Ended; STREAM_TAKEN_OVER; STREAM_UNREAD.
        """
        async for event in subscription:
            began_s = time.monotonic()
            await self.tell(event)
            if isinstance(event, ChunkReady):
                subscription.sent(event)
                self._observer.stage("send", time.monotonic() - began_s)
                self._observer.backpressure(subscription.waited_s)
            elif isinstance(event, Ended) and event.reason is EndReason.LOST:
                raise Aborted("SESSION_LOST", event.message)

    async def tell(self, event: StreamEvent) -> None:
        """Write one event, unless the stream is over. Aborted, STREAM_UNREAD, if the client does not take it."""
        async with self._turn:
            if self._over:
                return
            for message in stream_events(event, with_init_segment=not self._init_sent):
                await self._write_in_time(message)
            self._init_sent = self._init_sent or isinstance(event, ChunkReady)
            self._over = isinstance(event, Ended)

    async def _write_in_time(self, message: pb.StreamEvent) -> None:
        try:
            async with asyncio.timeout(self._unread_limit_s):
                await self._write(message)
        except TimeoutError:
            limit = f"{self._unread_limit_s:g} s"
            raise Aborted("STREAM_UNREAD", f"nothing of the stream was read for {limit}") from None
