"""How far generation may run ahead of the reader, and when each chunk is due."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.core.events import Pacing

MAX_CREDITS = 3
MAX_UNSENT = 3
"""Chunks started and not yet written to the stream: one denoising, one decoding, one waiting for the writer."""
UNATTACHED_CHUNKS = 2
"""Chunks made before anyone reads."""
LEAD_CHUNKS = 2
FIRST_FRAME_OBJECTIVE_S = 2.0
_UNPACED_PATIENCE_S = 60.0  # an unpaced chunk yields to real-time ones for this long, then to none: no starvation


@dataclass(slots=True, kw_only=True)
class Playout:
    """The reader's clock, as far as the server can tell: it starts with the first chunk sent, waits for late ones."""

    pacing: Pacing
    opened_s: float
    chunk_s: float
    origin_s: float | None = None
    started: int = 0
    """Chunks whose generation has begun."""
    sent: int = 0
    credits: int | None = None
    """Chunks granted and not yet sent; None: the client grants none, the server paces."""
    begun_before: int = field(default=0, init=False)
    """Chunks begun before the stream that is attached: they use none of its credits."""
    _attached: bool = field(default=False, init=False)

    @property
    def attached(self) -> bool:
        """A stream reads; each new one is told what was begun before it."""
        return self._attached

    @attached.setter
    def attached(self, attached: bool) -> None:
        self._attached = attached
        if attached:
            self.begun_before = self.started

    def grant(self, chunks: int) -> None:
        self.credits = min(MAX_CREDITS, (self.credits or 0) + chunks)

    def may_start(self, pts_s: float, now: float) -> bool:
        return self.has_room and now >= self.earliest_start_s(pts_s)

    def earliest_start_s(self, pts_s: float) -> float:
        """When pacing allows the chunk at `pts_s` to begin; room is another matter."""
        if self.pacing is Pacing.UNPACED or self.credits is not None or self.origin_s is None:
            return 0.0
        return self.origin_s + pts_s - LEAD_CHUNKS * self.chunk_s

    def paced_start_s(self, pts_s: float) -> float | None:
        """When to look again, if pacing alone holds the chunk back."""
        return self.earliest_start_s(pts_s) if self.has_room else None

    def deadline_s(self, pts_s: float, now: float) -> float:
        """When the chunk should be with the reader."""
        if self.pacing is Pacing.UNPACED:
            return now + _UNPACED_PATIENCE_S
        origin_s = self.opened_s + FIRST_FRAME_OBJECTIVE_S if self.origin_s is None else self.origin_s
        return origin_s + pts_s

    def slack_s(self, pts_s: float, now: float) -> float | None:
        """How long the chunk at `pts_s` may still take; None: nobody's clock runs."""
        if self.pacing is Pacing.UNPACED or self.origin_s is None:
            return None
        return self.origin_s + pts_s - now

    def chunk_sent(self, sequence: int, pts_s: float, now: float) -> bool:
        """Note a chunk written to the stream; True if it came after its time. Replayed chunks change nothing."""
        if sequence < self.sent:
            return False
        self.sent = sequence + 1
        if self.credits is not None and sequence >= self.begun_before:
            self.credits = max(0, self.credits - 1)
        late = self.origin_s is not None and self.pacing is Pacing.REALTIME and now > self.origin_s + pts_s
        if self.origin_s is None or late:
            self.origin_s = now - pts_s
        return late

    def pass_over(self, sequence: int) -> None:
        """Chunks before `sequence` are not waited for any more: nobody will read them."""
        self.sent = max(self.sent, sequence)

    def hold(self) -> None:
        """The clock stops; it starts again with the next chunk sent."""
        self.origin_s = None

    @property
    def has_room(self) -> bool:
        """As far as the reader goes, another chunk may begin."""
        unsent = self.started - self.sent
        if not self.attached:
            return unsent < UNATTACHED_CHUNKS
        if self.credits is not None and self.started - max(self.sent, self.begun_before) >= self.credits:
            return False
        return unsent < MAX_UNSENT
