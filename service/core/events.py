"""The nouns of a session: what a caller asks for, what a stream tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from contract.cache_plan import Policy


class MediaFormat(IntEnum):
    """Numbered as in the proto."""

    H264_FMP4 = 1
    JPEG = 2
    RAW_RGB24 = 3


class Pacing(IntEnum):
    """Numbered as in the proto."""

    REALTIME = 1
    UNPACED = 2


class State(IntEnum):
    """Numbered as in the proto."""

    OPENING = 1
    STREAMING = 2
    PAUSED = 3
    DRAINING = 4
    ENDED = 5


class EndReason(IntEnum):
    """Numbered as in the proto."""

    STOPPED = 1
    COMPLETED = 2
    ABANDONED = 3
    DRAINED = 4
    LOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What was granted; fixed for the session's life."""

    tenant: str
    garment: str
    prompt: str
    seed: int
    format: MediaFormat = MediaFormat.H264_FMP4
    jpeg_quality: int = 90
    pacing: Pacing = Pacing.REALTIME
    policy: Policy = Policy.REFRESH_WITHDRAW_DISENTANGLE
    max_duration_s: float = 3600.0
    detach_grace_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A garment switch as asked for. `prompt` None: the prompt stays. `not_before_s`: presentation time."""

    event_id: str
    garment: str
    prompt: str | None = None
    policy: Policy | None = None
    not_before_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cursor:
    segment: int
    chunk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds that a chunk spent in each stage."""

    queue: float = 0.0
    encode: float = 0.0
    prefill: float = 0.0
    denoise: float = 0.0
    decode: float = 0.0
    media: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkInfo:
    """A finished chunk, without its media."""

    sequence: int
    cursor: Cursor
    pts_s: float
    duration_s: float
    first_frame: int
    frame_count: int
    garment: str
    applied_event_ids: tuple[str, ...]
    timings: Timings
    degradation: int = 0
    """Denoising passes that it went without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """A snapshot of a session."""

    id: str
    state: State
    config: SessionConfig
    created_s: float
    """Unix time."""
    garment: str
    prompt: str
    width: int
    height: int
    frames_per_second: int
    generated_s: float
    next: Cursor
    end_reason: EndReason | None


# What a stream tells, in order.


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    session: SessionView


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkReady:
    """A chunk with its media: `parts` concatenated are its bytes; `frame_bytes` for formats that are per frame."""

    info: ChunkInfo
    init_segment: bytes = field(default=b"", repr=False)
    media: bytes = field(default=b"", repr=False)
    frame_bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAccepted:
    event_id: str
    garment: str
    earliest_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchApplied:
    """`since_s`, on the core's clock: since when only the service held it up, for it was due and the session ran."""

    event_id: str
    cursor: Cursor
    sequence: int
    pts_s: float
    first_frame: int
    waited_s: float
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRejected:
    event_id: str
    code: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    reason: EndReason
    message: str
    generated_s: float


StreamEvent = Started | ChunkReady | SwitchAccepted | SwitchApplied | SwitchRejected | Draining | Ended
