"""What was seen of one session. Nothing here is judged or derived; times are seconds from the run's start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter


class Outcome(StrEnum):
    """How a session ended."""

    COMPLETED = "completed"
    """All its video came, or its reader left as planned."""
    REJECTED = "rejected"
    """The service had no place for it (RESOURCE_EXHAUSTED on opening)."""
    FAILED = "failed"
    """Anything else: refused, broken off, stuck, or cut short."""
    UNFINISHED = "unfinished"
    """The run was over before it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRecord:
    """One garment switch. None: it did not come to that."""

    due_s: float
    sent_s: float
    acknowledged_s: float | None = None
    applied_s: float | None = None
    received_s: float | None = None
    pts_s: float | None = None
    """Presentation time of the first frame that shows it."""
    refused: str | None = None
    """The reason it will not be seen. SWITCH_SUPERSEDED: a later one won its boundary, which is no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """One session. The three tuples of chunks are of one length; a chunk counts once it is received whole."""

    index: int
    kind: str
    behaviour: str
    tenant: str
    worker: int
    due_s: float
    """When it was meant to begin: latencies count from here."""
    began_s: float
    """When the generator began it."""
    length_s: float
    opened_s: float | None
    ended_s: float
    outcome: Outcome
    reason: str = ""
    message: str = ""
    chunk_received_s: tuple[float, ...] = ()
    chunk_pts_s: tuple[float, ...] = ()
    chunk_duration_s: tuple[float, ...] = ()
    degraded_chunks: int = 0
    """Those that went without some of their denoising passes."""
    media_bytes: int = 0
    switches: tuple[SwitchRecord, ...] = ()
    cuts_s: tuple[float, ...] = ()
    """When the reader let go of its stream."""
    freed_after_s: float | None = None
    """For a reader that left without a word: until the service had ended its session."""

    def __post_init__(self) -> None:
        lengths = {len(self.chunk_received_s), len(self.chunk_pts_s), len(self.chunk_duration_s)}
        if len(lengths) != 1:
            raise ValueError(f"chunk columns must be of one length, got {sorted(lengths)}")


RECORD = TypeAdapter(SessionRecord)
"""To and from JSON."""
