"""How many chunks may be under way, and when the reader gives a chunk's credit back."""

from __future__ import annotations

from dataclasses import dataclass

from chameleon.types import Pacing

CREDITS = 3
"""Chunks that may be under way: enough to keep the engine's stages busy, few enough that a switch is seen soon."""


_TOLERANCE_S = 1e-6


@dataclass(slots=True, kw_only=True)
class Credits:
    """Of one stream, whose first credit went out with it. Never more than CREDITS chunks are under way, unless more
    were made before the stream began: those used no credit of it and give none back."""

    made_s: float
    """Seconds of video made before the stream began."""
    full: bool = False

    def caught_up(self, received_s: float) -> int:
        """Chunks to grant now that so much video has been received: the rest of the credits, once."""
        if self.full or received_s < self.made_s - _TOLERANCE_S:
            return 0
        self.full = True
        return CREDITS - 1

    def used_by(self, *, pts_s: float) -> bool:
        """True if the chunk used a credit."""
        return pts_s > self.made_s - _TOLERANCE_S


@dataclass(slots=True, kw_only=True)
class PlayoutClock:
    """A real-time reader plays from the moment it has the first chunk; a chunk that comes late sets the clock back."""

    pacing: Pacing
    origin_s: float | None = None
    """When the frame at presentation time 0 was played."""

    def taken(self, *, pts_s: float, duration_s: float, now: float) -> float:
        """When the credit of a chunk taken now goes back: once it has been played, or at once without pacing."""
        if self.pacing is Pacing.UNPACED:
            return now
        if self.origin_s is None or now > self.origin_s + pts_s:
            self.origin_s = now - pts_s
        return self.origin_s + pts_s + duration_s
