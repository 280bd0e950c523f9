"""Whether one session more still lets every session meet its deadlines: counts blocks and the engine's time."""

from __future__ import annotations

from dataclasses import dataclass

from service.core.events import Pacing

_SMOOTHING = 0.2
_CHUNKS_A_SAMPLE = 8
"""Sessions whose chunks end together share the time before; over some chunks that evens out."""
HEADROOM = 0.9
"""Share of the engine's measured speed that is promised away; the rest absorbs switches and noise."""
_RETRY_S = (1.0, 30.0)


@dataclass(slots=True, kw_only=True)
class ChunkCost:
    """Seconds of the whole engine, student and decoder, that a chunk takes where the engine has as much as it can take.

    How much runs side by side only a full engine shows: it is measured once, at the start. The time that the engine is
    busy for chunks of full windows can only be as long or longer, so a start that was disturbed is corrected. Chunks of
    real-time sessions that take longer than they play say that the engine has become slower.

    Attributes:
        at_start_s: measured at the start; 0: not.
    """

    at_start_s: float = 0.0
    _busy_s: float = 0.0
    _sum_s: float = 0.0
    _chunks: int = 0
    _excess_s: float = 0.0

    @property
    def seconds(self) -> float:
        """0 until anything is known."""
        return self._unstrained_s + self._excess_s

    @property
    def _unstrained_s(self) -> float:
        return min((seconds for seconds in (self.at_start_s, self._busy_s) if seconds), default=0.0)

    def chunk_done(self, *, busy_s: float, full: bool) -> None:
        """Any session's chunk.

        Args:
            busy_s: how long the engine had anything in flight since the last one.
            full: it attended as much as there can be, and had all its passes. Others cost less, so they say nothing of
                what sessions will cost, unless nothing else is known.
        """
        if not self.seconds:
            self._busy_s = busy_s
        if not full:
            self._sum_s, self._chunks = 0.0, 0
            return
        self._sum_s += busy_s
        self._chunks += 1
        if self._chunks >= _CHUNKS_A_SAMPLE:
            seen_s = self._sum_s / self._chunks
            self._busy_s += _SMOOTHING * (seen_s - self._busy_s) if self._busy_s else seen_s
            self._sum_s, self._chunks = 0.0, 0

    def realtime_chunk_in_time(self) -> None:
        self._excess_s -= _SMOOTHING * self._excess_s

    def realtime_chunk_too_slow(self, *, plays_s: float, sessions: int) -> None:
        """It took longer than it plays, beside `sessions` real-time ones in all: evidence that they are too many."""
        seen_s = max(0.0, plays_s / sessions - self._unstrained_s)
        self._excess_s += _SMOOTHING * (seen_s - self._excess_s)


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
    cost_s: float,
    shortest_remaining_s: float,
) -> Capacity:
    """Sessions of this pacing that fit now.

    A real-time session takes one chunk's cost per chunk of playing time, so there is room for `HEADROOM * chunk_s /
    cost_s` of them. The first session is always let in: on an engine slower than real time it is served as fast as that
    goes. Unpaced sessions yield to all others and need only a block.

    Args:
        cost_s: see `ChunkCost`; 0: not known, only blocks count.
    """
    factor = chunk_s / cost_s if cost_s else 0.0
    available = free
    if pacing is Pacing.REALTIME and cost_s:
        available = min(free, max(int(HEADROOM * factor) - realtime_sessions, 0 if realtime_sessions else 1))
    retry = None if available else min(max(shortest_remaining_s, _RETRY_S[0]), _RETRY_S[1])
    return Capacity(available=available, open=slots - free, slots=slots, retry_after_s=retry, realtime_factor=factor)
