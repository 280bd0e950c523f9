"""A lane of the engine: what is runnable on it, earliest deadline first, and what is in flight."""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Lane:
    """Runnable sessions by deadline. A session is queued at most once; entries that went stale are skipped on the way
    out. Busy time is the time with anything in flight: divided by chunks done, it is what a chunk costs the lane,
    whatever is batched or overlapped.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.in_flight = 0
        self.busy_s = 0.0
        self._busy_since_s = 0.0
        self._heap: list[tuple[float, int, str]] = []
        self._queued: set[str] = set()
        self._order = 0

    def push(self, session_id: str, deadline_s: float) -> None:
        if session_id not in self._queued:
            self._queued.add(session_id)
            self._order += 1  # equal deadlines: first come, first served
            heapq.heappush(self._heap, (deadline_s, self._order, session_id))

    def pop_runnable(self) -> Iterator[str]:
        """Sessions to dispatch, while there is room; the caller calls `begin` for each it dispatches."""
        while self.in_flight < self.width and self._heap:
            _, _, session_id = heapq.heappop(self._heap)
            self._queued.discard(session_id)
            yield session_id

    def begin(self, now: float) -> None:
        if self.in_flight == 0:
            self._busy_since_s = now
        self.in_flight += 1

    def finish(self, now: float) -> None:
        assert self.in_flight > 0
        self.in_flight -= 1
        self.busy_s += now - self._busy_since_s
        self._busy_since_s = now
