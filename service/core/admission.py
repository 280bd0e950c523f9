"""Whether one session more still lets every session meet its deadlines: counts blocks and measured chunk costs."""

from __future__ import annotations

from dataclasses import dataclass

from service.core.events import Pacing

_SMOOTHING = 0.2
HEADROOM = 0.9
"""Share of the engine's measured speed that is promised away; the rest absorbs switches and noise."""
_RETRY_S = (1.0, 30.0)


@dataclass(slots=True)
class ChunkCost:
    """Moving average of what a chunk costs a lane, in busy seconds."""

    seconds: float = 0.0
    _busy_mark_s: float = 0.0

    def chunk_done(self, busy_s: float) -> None:
        sample = busy_s - self._busy_mark_s
        self._busy_mark_s = busy_s
        self.seconds = sample if self.seconds == 0.0 else self.seconds + _SMOOTHING * (sample - self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Answer to "could another session open"; `retry_after_s` None if one could."""

    available: int
    open: int
    slots: int
    retry_after_s: float | None
    realtime_factor: float


def capacity(
    *,
    pacing: Pacing,
    slots: int,
    free: int,
    realtime_sessions: int,
    chunk_s: float,
    costs: tuple[ChunkCost, ...],
    shortest_remaining_s: float,
) -> Capacity:
    """Sessions of this pacing that fit now.

    A real-time session takes one chunk's cost of every lane per chunk of playing time. A lane has room for
    `HEADROOM * chunk_s / cost` of them; the slowest lane decides. The first session is always let in: on an engine
    slower than real time it is served as fast as that goes. Unpaced sessions yield to all others and need only a block.
    """
    slowest = max(cost.seconds for cost in costs)
    factor = chunk_s / slowest if slowest else 0.0
    available = free
    if pacing is Pacing.REALTIME and slowest:
        available = min(free, max(int(HEADROOM * factor) - realtime_sessions, 0 if realtime_sessions else 1))
    retry = None if available else min(max(shortest_remaining_s, _RETRY_S[0]), _RETRY_S[1])
    return Capacity(available=available, open=slots - free, slots=slots, retry_after_s=retry, realtime_factor=factor)
