"""What the core tells the runtime to do: steps on the engine's lanes, and effects."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from contract.cache_plan import PassPlan, Role
from contract.schedule import Pass
from service.core.events import ChunkInfo, StreamEvent


class StepKind(StrEnum):
    PREFILL = "prefill"
    DENOISE = "denoise"
    COMMIT = "commit"
    DECODE = "decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One engine call of one session. Repeating it is harmless.

    Attributes:
        runnable_s: since when it could have run.
        conditions: PREFILL only: which latents pass through the network.
        sigma_pass: DENOISE and COMMIT: the pass of the schedule.
        segment, chunk: place of the noise stream and of the chunk.
        sequence: the chunk worked on.
        last: DENOISE only: its result is the clean chunk.
        read_bank, write_bank: DECODE only.
    """

    id: int
    session_id: str
    block: int
    kind: StepKind
    deadline_s: float
    runnable_s: float
    sequence: int
    segment: int
    chunk: int
    plan: PassPlan | None = None
    conditions: tuple[Role, ...] = ()
    sigma_pass: Pass | None = None
    last: bool = False
    read_bank: int | None = None
    write_bank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Tell the session's stream."""

    session_id: str
    event: StreamEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeReference:
    """Encode the last decoded frame as the new reference, then call `reference_ready`."""

    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginSegment:
    """The switch's garment (and prompt) are the session's from here on.

    Attributes:
        overtakes: a switch began before it and has not shown in any chunk: its prompt goes with it.
    """

    session_id: str
    event_id: str
    overtakes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSwitch:
    """What was prepared for a switch is of no more use."""

    session_id: str
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeMedia:
    """Encode the chunk's frames, put it on the stream, then call `media_done`. `before` goes on the stream first."""

    session_id: str
    info: ChunkInfo
    before: tuple[StreamEvent, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearBlock:
    """Zero the block, then call `cleared`."""

    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The session is over and nothing of it is in flight: forget its data."""

    session_id: str


Effect = Emit | EncodeReference | BeginSegment | DropSwitch | EncodeMedia | ClearBlock | Release
