"""What the SDK gives and takes: enums numbered as in the proto, and frozen values. Times are in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from pathlib import Path


class _WireEnum(IntEnum):
    """Of the proto, whose enums may grow: a value that a later service tells is kept, as UNRECOGNIZED_<number>."""

    @classmethod
    def _missing_(cls, value: object) -> _WireEnum | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"UNRECOGNIZED_{value}", value
        return member


class MediaFormat(_WireEnum):
    """How the video travels."""

    H264 = 1
    """Fragmented MP4: init segment and fragments, written one behind the other, are a playable file."""
    JPEG = 2
    """One JPEG file a frame."""
    RAW = 3
    """8-bit RGB, rows from the top, no padding: height * width * 3 bytes a frame."""


class Pacing(_WireEnum):
    """How fast the video is made and sent."""

    REALTIME = 1
    """At playing speed, a little ahead of it."""
    UNPACED = 2
    """As fast as engine and reader allow, behind all real-time sessions."""


class Policy(_WireEnum):
    """What a garment switch does to the KV cache; for experiments, the server's default is right otherwise."""

    REFRESH = 1
    REFRESH_WITHDRAW = 2
    REFRESH_WITHDRAW_DISENTANGLE = 3
    KEEP_MOTION = 4


class SessionState(_WireEnum):
    """Where a session stands."""

    OPENING = 1
    STREAMING = 2
    PAUSED = 3
    DRAINING = 4
    ENDED = 5


class EndReason(_WireEnum):
    """Why a session ended."""

    STOPPED = 1
    COMPLETED = 2
    ABANDONED = 3
    DRAINED = 4
    LOST = 5


class GarmentState(_WireEnum):
    """Whether a garment can be worn."""

    ENCODING = 1
    READY = 2
    FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Garment:
    """A garment the service knows. `name` is `garments/{garment}`; `affinity`: the server behind a gateway that has it;
    None without a gateway."""

    name: str
    state: GarmentState
    created: datetime
    display_name: str
    affinity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cursor:
    """Where a chunk stands: `segment` counts the switches before it, `chunk` the chunks before it in its segment."""

    segment: int
    chunk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session as the service tells it. `name` is `sessions/{session}`; `width` and `height` are pixels.

    `affinity`: the server behind a gateway that has it; None without a gateway.
    """

    name: str
    state: SessionState
    created: datetime
    garment: str
    prompt: str
    seed: int
    format: MediaFormat
    pacing: Pacing
    policy: Policy
    width: int
    height: int
    frames_per_second: int
    generated_s: float
    end_reason: EndReason | None
    affinity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAccepted:
    """A switch will take effect, with the chunk `earliest_sequence` at the earliest."""

    event_id: str
    garment: str
    earliest_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchApplied:
    """A switch takes effect with frame `first_frame` of the session, the first of chunk `sequence`.

    `waited_s` is the time from acceptance until the server began the passes of the new segment.
    """

    event_id: str
    cursor: Cursor
    sequence: int
    pts_s: float
    first_frame: int
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTimings:
    """Seconds the server spent on a chunk, by stage. Stages overlap."""

    queue: float
    encode: float
    prefill: float
    denoise: float
    decode: float
    media: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame: `data` is a JPEG file, or height * width * 3 bytes of RGB. `number` counts over the session from 0."""

    number: int
    pts_s: float
    format: MediaFormat
    width: int
    height: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some frames of video, received whole.

    Attributes:
        sequence: counts the session's chunks from 0, without gaps.
        pts_s: presentation time of its first frame.
        first_frame: number of its first frame, counted over the session from 0.
        garment: the garment worn, `garments/{garment}`.
        applied: the switches that take effect with its first frame.
        degradation: denoising passes that it went without because it would have been late; 0 but on an engine behind.
        init_segment: H264 only, and only with the first chunk received: what a decoder must read before any fragment.
        media: the chunk's bytes; for H264 one fragment.
    """

    sequence: int
    cursor: Cursor
    pts_s: float
    duration_s: float
    first_frame: int
    frame_count: int
    garment: str
    applied: tuple[SwitchApplied, ...]
    timings: ChunkTimings
    degradation: int
    format: MediaFormat
    width: int
    height: int
    frame_bytes: tuple[int, ...] = field(repr=False)
    init_segment: bytes = field(repr=False)
    media: bytes = field(repr=False)

    @property
    def data(self) -> bytes:
        """Init segment and media: the `data` of all chunks, one behind the other, is a playable file."""
        return self.init_segment + self.media

    def frames(self) -> Iterator[Frame]:
        """The chunk's frames, in order.

        Raises:
            ValueError: the format is H264, whose frames cannot be told apart without decoding.
        """
        if self.format is MediaFormat.H264:
            raise ValueError("frames come with MediaFormat.JPEG or RAW; this session sends H264 fragments")
        start = 0
        for index, size in enumerate(self.frame_bytes):
            yield Frame(
                number=self.first_frame + index,
                pts_s=self.pts_s + index * self.duration_s / self.frame_count,
                format=self.format,
                width=self.width,
                height=self.height,
                data=self.media[start : start + size],
            )
            start += size


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a session ended; `generated_s` is seconds of video sent."""

    reason: EndReason
    message: str
    generated_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many more sessions could open now; if none, when to ask again.

    `realtime_factor`: seconds of video the engine makes in a second, all sessions together; 0 until measured.
    `affinity`: the server behind a gateway that this is of; None without a gateway.
    """

    available: int
    open: int
    slots: int
    retry_after_s: float | None
    realtime_factor: float
    affinity: str | None = None


PictureSource = bytes | Path
"""JPEG, PNG or WebP: a file's bytes, or where it lies."""

GarmentSource = Garment | str | bytes | Path
"""A garment the service knows (itself, or its name `garments/{garment}`), or a picture of one."""
