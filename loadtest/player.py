"""A model of the player at the other end: what a person would have seen. Pure.

It starts once `start_buffer_s` of video has come, plays without pause as long as chunks come in time, and when one is
missing stands still until `resume_buffer_s` has come again. The end of the stream counts as any buffer filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_TOLERANCE_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The player stood still from `at_s` for `length_s`."""

    at_s: float
    length_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """What was shown when. `shown_s[k]` is when chunk k's first frame was."""

    shown_s: tuple[float, ...]
    ended_s: float
    stalls: tuple[Stall, ...]

    @property
    def stalled_s(self) -> float:
        return sum(stall.length_s for stall in self.stalls)

    @property
    def rebuffer_ratio(self) -> float:
        """Of the time from the first frame to the last, the part that stood still."""
        watched_s = self.ended_s - self.shown_s[0]
        return self.stalled_s / watched_s if watched_s > 0 else 0.0


def play(
    received_s: Sequence[float], duration_s: Sequence[float], *, start_buffer_s: float, resume_buffer_s: float
) -> Playback | None:
    """Play chunks that were received whole at `received_s`, in order. None if there are none."""
    if not received_s:
        return None
    now_s = _filled_s(received_s, duration_s, 0, start_buffer_s)
    shown, stalls = [], []
    for chunk, (came_s, lasts_s) in enumerate(zip(received_s, duration_s, strict=True)):
        if came_s > now_s + _TOLERANCE_S:
            resumed_s = _filled_s(received_s, duration_s, chunk, resume_buffer_s)
            stalls.append(Stall(at_s=now_s, length_s=resumed_s - now_s))
            now_s = resumed_s
        shown.append(now_s)
        now_s += lasts_s
    return Playback(shown_s=tuple(shown), ended_s=now_s, stalls=tuple(stalls))


def _filled_s(received_s: Sequence[float], duration_s: Sequence[float], chunk: int, buffer_s: float) -> float:
    """When `buffer_s` of video from `chunk` on has come, or all that ever comes."""
    held_s = 0.0
    for came_s, lasts_s in zip(received_s[chunk:], duration_s[chunk:], strict=True):
        held_s += lasts_s
        if held_s >= buffer_s - _TOLERANCE_S:
            return came_s
    return received_s[-1]
