"""Denoising passes that a session's chunks go without where the engine falls behind: rather softer than late."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.core.pacing import LEAD_CHUNKS

MOST_LEFT_OUT = 2
RECOVERY_CHUNKS = 4
"""Chunks in a row that pacing held back, the engine being ahead, before one pass more is tried again."""
_MARGIN = 0.1
_FULL_LEAD = 0.95


@dataclass(slots=True, kw_only=True)
class Degradation:
    """Of one session. It never goes below what keeps the stream in time, nor stays there for longer than it must.

    Attributes:
        most: passes that a chunk may go without; 0: none.
        chunk_s: how long a chunk plays.
        level: passes that the chunks go without now.
    """

    most: int
    chunk_s: float
    level: int = field(default=0, init=False)
    _ahead: int = field(default=0, init=False)

    def next_level(self, *, slack_s: float | None, took_s: float) -> int:
        """Of the chunk that begins now.

        Args:
            slack_s: until it should be with its reader; None: no clock runs, and nothing is learned.
            took_s: the last chunk, from its beginning until its frames were there, the engine's queue included.
        """
        if slack_s is None:
            return self.level
        if slack_s < took_s + _MARGIN * self.chunk_s:
            self.level, self._ahead = min(self.level + 1, self.most), 0
        elif slack_s >= _FULL_LEAD * LEAD_CHUNKS * self.chunk_s:
            self._ahead += 1
            if self._ahead >= RECOVERY_CHUNKS:
                self.level, self._ahead = max(self.level - 1, 0), 0
        return self.level
