"""A session's record while it is being written."""

from __future__ import annotations

from dataclasses import dataclass

from chameleon import Chunk
from loadtest.plan import SessionPlan
from loadtest.record import Outcome, SessionRecord, SwitchRecord

_DIGITS = 6


@dataclass(slots=True, kw_only=True)
class SwitchNotes:
    """See SwitchRecord."""

    due_s: float
    sent_s: float = 0.0
    acknowledged_s: float | None = None
    applied_s: float | None = None
    received_s: float | None = None
    pts_s: float | None = None
    refused: str | None = None

    def record(self) -> SwitchRecord:
        return SwitchRecord(
            due_s=round(self.due_s, _DIGITS),
            sent_s=round(self.sent_s, _DIGITS),
            acknowledged_s=_rounded(self.acknowledged_s),
            applied_s=_rounded(self.applied_s),
            received_s=_rounded(self.received_s),
            pts_s=_rounded(self.pts_s),
            refused=self.refused,
        )


class Notes:
    """See SessionRecord. Chunks' bytes are counted, not kept."""

    def __init__(self, plan: SessionPlan, *, due_s: float, began_s: float) -> None:
        self._plan = plan
        self._due_s, self._began_s = due_s, began_s
        self.opened_s: float | None = None
        self.chunk_received_s: list[float] = []
        self.chunk_pts_s: list[float] = []
        self.chunk_duration_s: list[float] = []
        self.degraded_chunks = 0
        self.media_bytes = 0
        self.switches: dict[str, SwitchNotes] = {}
        """By event id."""
        self.cuts_s: list[float] = []
        self.freed_after_s: float | None = None

    @property
    def received_video_s(self) -> float:
        return sum(self.chunk_duration_s)

    def chunk(self, chunk: Chunk, *, at_s: float) -> None:
        """A chunk was received whole."""
        self.chunk_received_s.append(round(at_s, _DIGITS))
        self.chunk_pts_s.append(round(chunk.pts_s, _DIGITS))
        self.chunk_duration_s.append(round(chunk.duration_s, _DIGITS))
        self.degraded_chunks += chunk.degradation > 0
        self.media_bytes += len(chunk.init_segment) + len(chunk.media)
        for applied in chunk.applied:
            if (switch := self.switches.get(applied.event_id)) is not None:
                switch.received_s, switch.pts_s = at_s, chunk.pts_s

    def record(self, *, worker: int, ended_s: float, outcome: Outcome, reason: str, message: str) -> SessionRecord:
        return SessionRecord(
            index=self._plan.index,
            kind=self._plan.kind,
            behaviour=self._plan.reader.behaviour,
            tenant=self._plan.tenant,
            worker=worker,
            due_s=round(self._due_s, _DIGITS),
            began_s=round(self._began_s, _DIGITS),
            length_s=round(self._plan.length_s, _DIGITS),
            opened_s=_rounded(self.opened_s),
            ended_s=round(ended_s, _DIGITS),
            outcome=outcome,
            reason=reason,
            message=message,
            chunk_received_s=tuple(self.chunk_received_s),
            chunk_pts_s=tuple(self.chunk_pts_s),
            chunk_duration_s=tuple(self.chunk_duration_s),
            degraded_chunks=self.degraded_chunks,
            media_bytes=self.media_bytes,
            switches=tuple(switch.record() for switch in self.switches.values()),
            cuts_s=tuple(round(cut_s, _DIGITS) for cut_s in self.cuts_s),
            freed_after_s=_rounded(self.freed_after_s),
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
