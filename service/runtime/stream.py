"""What a session has told, and the one reader that hears it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from service.core.errors import Aborted, OutOfRange, ResourceExhausted
from service.core.events import ChunkReady, Cursor, Ended, Started, StreamEvent

RETAINED_CHUNKS = 4
"""Chunks kept behind the reader, for a reader that comes back."""
MAX_UNREAD_EVENTS = 256
"""Beyond that a session takes no more switches: pacing bounds chunks, but each switch is told of twice."""


class StreamLog:
    """The events of a session, in order. Written ones are dropped once more than `RETAINED_CHUNKS` chunks lie behind
    the reader; what was not written yet is bounded by pacing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: deque[StreamEvent] = deque()
        self._appended_s: deque[float] = deque()
        """When each was appended."""
        self._first = 0
        """Index, over the whole session, of the oldest event held."""
        self._written = 0
        """Index of the first event not yet written by any reader."""
        self.next_chunk = 0
        """Sequence of the first chunk that was neither written nor passed over."""
        self._dropped: Cursor | None = None
        """The newest chunk that is no longer held."""
        self._reader: Subscription | None = None
        self.video_s = 0.0
        """Seconds of video in all chunks ever appended."""

    @property
    def end(self) -> int:
        return self._first + len(self._events)

    @property
    def unread(self) -> int:
        """Events that no reader has taken yet."""
        return self.end - self._written

    def append(self, event: StreamEvent) -> None:
        self._events.append(event)
        self._appended_s.append(self._clock())
        if isinstance(event, ChunkReady):
            self.video_s = event.info.pts_s + event.info.duration_s
        if self._reader is not None:
            self._reader.wake()

    def check_unread(self) -> None:
        """ResourceExhausted, TOO_MANY_SWITCHES, if no switch may be asked for until more was read."""
        if self.unread >= MAX_UNREAD_EVENTS:
            message = f"{MAX_UNREAD_EVENTS} events of the session wait to be read, the limit"
            raise ResourceExhausted("TOO_MANY_SWITCHES", message, retry_after_s=1.0)

    def at(self, index: int) -> StreamEvent:
        return self._events[index - self._first]

    def waited_s(self, index: int) -> float:
        """How long an event has waited for a reader; 0 for one that was written before."""
        return self._clock() - self._appended_s[index - self._first] if index >= self._written else 0.0

    def written(self, index: int) -> None:
        """All events before `index` have been written, or are passed over by a reader that begins there."""
        for taken in range(self._written, index):
            if isinstance(event := self.at(taken), ChunkReady):
                self.next_chunk = event.info.sequence + 1
        self._written = max(self._written, index)
        behind = sum(isinstance(self.at(i), ChunkReady) for i in range(self._first, self._written))
        while behind > RETAINED_CHUNKS:
            dropped = self._events.popleft()
            if isinstance(dropped, ChunkReady):
                self._dropped = dropped.info.cursor
                behind -= 1
            self._appended_s.popleft()
            self._first += 1

    def subscribe(self, subscription: Subscription, cursor: Cursor | None, newest: Cursor) -> int:
        """Make `subscription` the reader; any other is cut off. Returns the index it begins at.

        Raises:
            OutOfRange: CURSOR_EXPIRED or CURSOR_AHEAD.
        """
        start = self._first if cursor is None else self._find(cursor, newest)
        self.written(start)
        if self._reader is not None:
            self._reader.cut_off()
        self._reader = subscription
        return start

    def unsubscribe(self, subscription: Subscription) -> bool:
        """True if it was the reader until now."""
        if self._reader is not subscription:
            return False
        self._reader = None
        return True

    def _find(self, cursor: Cursor, newest: Cursor) -> int:
        """The events that lead to the first chunk at or behind `cursor`: a switch may have come where it points."""
        if self._dropped is not None and cursor <= self._dropped:
            raise OutOfRange(
                "CURSOR_EXPIRED",
                f"chunk {cursor.segment}/{cursor.chunk} is no longer held; the newest that is gone is "
                f"{self._dropped.segment}/{self._dropped.chunk}",
            )
        after_previous_chunk = self._first
        for index in range(self._first, self.end):
            event = self.at(index)
            if isinstance(event, ChunkReady):
                if event.info.cursor >= cursor:
                    return after_previous_chunk
                after_previous_chunk = index + 1
        if cursor.segment > newest.segment + 1:
            raise OutOfRange("CURSOR_AHEAD", f"there is no chunk {cursor.segment}/{cursor.chunk}")
        return after_previous_chunk


class Subscription:
    """An asynchronous iterator over a session's events; ends behind Ended.

    Raises:
        Aborted: STREAM_TAKEN_OVER, when another reader attaches.
    """

    def __init__(
        self,
        log: StreamLog,
        *,
        started: Started,
        cursor: Cursor | None,
        newest: Cursor,
        on_sent: Callable[[ChunkReady], None],
        on_close: Callable[[], None],
    ) -> None:
        self._log = log
        self._wake = asyncio.Event()
        self._cut_off = False
        self._over = False
        self.waited_s = 0.0
        """How long the newest event waited to be read."""
        self._started: Started | None = started
        self._on_sent = on_sent
        self._on_close = on_close
        self._next = log.subscribe(self, cursor, newest)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._started is not None:
            started, self._started = self._started, None
            return started
        if self._over:
            raise StopAsyncIteration
        while True:
            if self._cut_off:
                raise Aborted("STREAM_TAKEN_OVER", "another stream attached to the session")
            if self._next < self._log.end:
                break
            self._wake.clear()
            await self._wake.wait()
        event = self._log.at(self._next)
        self.waited_s = self._log.waited_s(self._next)
        self._next += 1
        self._over = isinstance(event, Ended)
        if not isinstance(event, ChunkReady):
            self._log.written(self._next)
        return event

    def sent(self, event: ChunkReady) -> None:
        """The chunk has been written to the transport."""
        if not self._cut_off:
            self._log.written(self._next)
            self._on_sent(event)

    def close(self) -> None:
        """The reader is gone. May be called twice."""
        if self._log.unsubscribe(self):
            self._on_close()

    def wake(self) -> None:
        self._wake.set()

    def cut_off(self) -> None:
        self._cut_off = True
        self._wake.set()
