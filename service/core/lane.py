"""A lane of the engine: what is runnable on it, earliest deadline first, and what is in flight."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Queue:
    """Sessions by deadline; equal deadlines are served first come, first served."""

    heap: list[tuple[float, int, str]] = field(default_factory=list)
    order: int = 0

    def push(self, session_id: str, deadline_s: float) -> None:
        self.order += 1
        heapq.heappush(self.heap, (deadline_s, self.order, session_id))

    def pop(self) -> str:
        return heapq.heappop(self.heap)[2]


class Lane:
    """Runnable sessions by deadline, in two classes. A session is queued at most once on a lane.

    Background work (unpaced sessions) is dispatched only while nothing else is in flight, so that it takes what
    real-time sessions leave; once its deadline has passed it waits no longer, so that it never starves.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.in_flight = 0
        self._foreground_in_flight = 0
        self._foreground = _Queue()
        self._background = _Queue()
        self._queued: set[str] = set()

    def push(self, session_id: str, deadline_s: float, *, background: bool) -> None:
        if session_id not in self._queued:
            self._queued.add(session_id)
            (self._background if background else self._foreground).push(session_id, deadline_s)

    def pop_runnable(self, now: float) -> Iterator[str]:
        """Sessions to dispatch, while there is room; the caller calls `begin` for each that it dispatches."""
        while self.in_flight < self.width:
            overdue = self._background.heap and self._background.heap[0][0] <= now
            if self._foreground.heap and not overdue:
                session_id = self._foreground.pop()
            elif self._background.heap and (overdue or not self._foreground_in_flight):
                session_id = self._background.pop()
            else:
                return
            self._queued.discard(session_id)
            yield session_id

    def begin(self, *, background: bool) -> None:
        self.in_flight += 1
        self._foreground_in_flight += not background

    def finish(self, *, background: bool) -> None:
        assert self.in_flight > 0
        self.in_flight -= 1
        self._foreground_in_flight -= not background
