"""Denoising passes that a session's chunks go without where the engine falls behind: rather softer than late."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.core.pacing import LEAD_CHUNKS

MOST_LEFT_OUT = 2
"""What the service leaves out at the most where nothing else is configured."""
RECOVERY_CHUNKS = 4
"""Chunks in a row that pacing held back, the engine being ahead, before one pass more is tried again."""
_MARGIN = 0.1
"""Chunk lengths: media are encoded behind the frames, and chunks vary. More would degrade what admission lets in."""
_FULL_LEAD = 0.95
"""Of the lead that pacing allows: a chunk that begins with it was held back by pacing alone."""


@dataclass(slots=True, kw_only=True)
class Degradation:
    """Of one session: rises with each chunk that would be late, falls a pass at a time once the engine is ahead.

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
