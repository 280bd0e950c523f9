import datetime

from fashionchameleon.v1 import media_pb2 as _media_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PacingMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PACING_MODE_UNSPECIFIED: _ClassVar[PacingMode]
    PACING_MODE_REALTIME: _ClassVar[PacingMode]
    PACING_MODE_UNPACED: _ClassVar[PacingMode]

class ReschedulingPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESCHEDULING_POLICY_UNSPECIFIED: _ClassVar[ReschedulingPolicy]
    RESCHEDULING_POLICY_REFRESH: _ClassVar[ReschedulingPolicy]
    RESCHEDULING_POLICY_REFRESH_WITHDRAW: _ClassVar[ReschedulingPolicy]
    RESCHEDULING_POLICY_REFRESH_WITHDRAW_DISENTANGLE: _ClassVar[ReschedulingPolicy]
    RESCHEDULING_POLICY_KEEP_MOTION: _ClassVar[ReschedulingPolicy]

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_OPENING: _ClassVar[SessionState]
    SESSION_STATE_STREAMING: _ClassVar[SessionState]
    SESSION_STATE_PAUSED: _ClassVar[SessionState]
    SESSION_STATE_DRAINING: _ClassVar[SessionState]
    SESSION_STATE_ENDED: _ClassVar[SessionState]

class EndReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_REASON_UNSPECIFIED: _ClassVar[EndReason]
    END_REASON_STOPPED: _ClassVar[EndReason]
    END_REASON_COMPLETED: _ClassVar[EndReason]
    END_REASON_ABANDONED: _ClassVar[EndReason]
    END_REASON_DRAINED: _ClassVar[EndReason]
    END_REASON_LOST: _ClassVar[EndReason]
PACING_MODE_UNSPECIFIED: PacingMode
PACING_MODE_REALTIME: PacingMode
PACING_MODE_UNPACED: PacingMode
RESCHEDULING_POLICY_UNSPECIFIED: ReschedulingPolicy
RESCHEDULING_POLICY_REFRESH: ReschedulingPolicy
RESCHEDULING_POLICY_REFRESH_WITHDRAW: ReschedulingPolicy
RESCHEDULING_POLICY_REFRESH_WITHDRAW_DISENTANGLE: ReschedulingPolicy
RESCHEDULING_POLICY_KEEP_MOTION: ReschedulingPolicy
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_OPENING: SessionState
SESSION_STATE_STREAMING: SessionState
SESSION_STATE_PAUSED: SessionState
SESSION_STATE_DRAINING: SessionState
SESSION_STATE_ENDED: SessionState
END_REASON_UNSPECIFIED: EndReason
END_REASON_STOPPED: EndReason
END_REASON_COMPLETED: EndReason
END_REASON_ABANDONED: EndReason
END_REASON_DRAINED: EndReason
END_REASON_LOST: EndReason

class GarmentSource(_message.Message):
    __slots__ = ("garment", "picture")
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    garment: str
    picture: _media_pb2.Picture
    def __init__(self, garment: _Optional[str] = ..., picture: _Optional[_Union[_media_pb2.Picture, _Mapping]] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("format", "jpeg_quality")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    JPEG_QUALITY_FIELD_NUMBER: _ClassVar[int]
    format: _media_pb2.MediaFormat
    jpeg_quality: int
    def __init__(self, format: _Optional[_Union[_media_pb2.MediaFormat, str]] = ..., jpeg_quality: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("name", "state", "create_time", "garment", "prompt", "seed", "output", "pacing", "policy", "width", "height", "frames_per_second", "generated", "next", "end_reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PACING_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    GENERATED_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: SessionState
    create_time: _timestamp_pb2.Timestamp
    garment: str
    prompt: str
    seed: int
    output: Output
    pacing: PacingMode
    policy: ReschedulingPolicy
    width: int
    height: int
    frames_per_second: int
    generated: _duration_pb2.Duration
    next: _media_pb2.Cursor
    end_reason: EndReason
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[SessionState, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., garment: _Optional[str] = ..., prompt: _Optional[str] = ..., seed: _Optional[int] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., pacing: _Optional[_Union[PacingMode, str]] = ..., policy: _Optional[_Union[ReschedulingPolicy, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., frames_per_second: _Optional[int] = ..., generated: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., next: _Optional[_Union[_media_pb2.Cursor, _Mapping]] = ..., end_reason: _Optional[_Union[EndReason, str]] = ...) -> None: ...

class CreateSessionRequest(_message.Message):
    __slots__ = ("request_id", "person", "garment", "prompt", "seed", "output", "pacing", "policy", "max_duration", "detach_grace")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PACING_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_FIELD_NUMBER: _ClassVar[int]
    DETACH_GRACE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    person: _media_pb2.Picture
    garment: GarmentSource
    prompt: str
    seed: int
    output: Output
    pacing: PacingMode
    policy: ReschedulingPolicy
    max_duration: _duration_pb2.Duration
    detach_grace: _duration_pb2.Duration
    def __init__(self, request_id: _Optional[str] = ..., person: _Optional[_Union[_media_pb2.Picture, _Mapping]] = ..., garment: _Optional[_Union[GarmentSource, _Mapping]] = ..., prompt: _Optional[str] = ..., seed: _Optional[int] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., pacing: _Optional[_Union[PacingMode, str]] = ..., policy: _Optional[_Union[ReschedulingPolicy, str]] = ..., max_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., detach_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamVideoRequest(_message.Message):
    __slots__ = ("name", "cursor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    cursor: _media_pb2.Cursor
    def __init__(self, name: _Optional[str] = ..., cursor: _Optional[_Union[_media_pb2.Cursor, _Mapping]] = ...) -> None: ...

class StreamVideoResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: StreamEvent
    def __init__(self, event: _Optional[_Union[StreamEvent, _Mapping]] = ...) -> None: ...

class InteractRequest(_message.Message):
    __slots__ = ("create", "attach", "switch_garment", "credits", "pause", "resume", "stop")
    CREATE_FIELD_NUMBER: _ClassVar[int]
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    SWITCH_GARMENT_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    create: CreateSessionRequest
    attach: StreamVideoRequest
    switch_garment: GarmentSwitch
    credits: PlayoutCredits
    pause: Pause
    resume: Resume
    stop: Stop
    def __init__(self, create: _Optional[_Union[CreateSessionRequest, _Mapping]] = ..., attach: _Optional[_Union[StreamVideoRequest, _Mapping]] = ..., switch_garment: _Optional[_Union[GarmentSwitch, _Mapping]] = ..., credits: _Optional[_Union[PlayoutCredits, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., stop: _Optional[_Union[Stop, _Mapping]] = ...) -> None: ...

class InteractResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: StreamEvent
    def __init__(self, event: _Optional[_Union[StreamEvent, _Mapping]] = ...) -> None: ...

class GarmentSwitch(_message.Message):
    __slots__ = ("event_id", "garment", "prompt", "policy", "not_before")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    garment: GarmentSource
    prompt: str
    policy: ReschedulingPolicy
    not_before: _duration_pb2.Duration
    def __init__(self, event_id: _Optional[str] = ..., garment: _Optional[_Union[GarmentSource, _Mapping]] = ..., prompt: _Optional[str] = ..., policy: _Optional[_Union[ReschedulingPolicy, str]] = ..., not_before: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PlayoutCredits(_message.Message):
    __slots__ = ("chunks",)
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    chunks: int
    def __init__(self, chunks: _Optional[int] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Resume(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Stop(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SwitchGarmentRequest(_message.Message):
    __slots__ = ("name", "switch_garment")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SWITCH_GARMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    switch_garment: GarmentSwitch
    def __init__(self, name: _Optional[str] = ..., switch_garment: _Optional[_Union[GarmentSwitch, _Mapping]] = ...) -> None: ...

class SwitchGarmentResponse(_message.Message):
    __slots__ = ("accepted",)
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    accepted: SwitchAccepted
    def __init__(self, accepted: _Optional[_Union[SwitchAccepted, _Mapping]] = ...) -> None: ...

class StreamEvent(_message.Message):
    __slots__ = ("started", "chunk_header", "media_part", "switch_accepted", "switch_applied", "switch_rejected", "draining", "ended")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    CHUNK_HEADER_FIELD_NUMBER: _ClassVar[int]
    MEDIA_PART_FIELD_NUMBER: _ClassVar[int]
    SWITCH_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    SWITCH_APPLIED_FIELD_NUMBER: _ClassVar[int]
    SWITCH_REJECTED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    chunk_header: _media_pb2.ChunkHeader
    media_part: _media_pb2.MediaPart
    switch_accepted: SwitchAccepted
    switch_applied: SwitchApplied
    switch_rejected: SwitchRejected
    draining: Draining
    ended: Ended
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., chunk_header: _Optional[_Union[_media_pb2.ChunkHeader, _Mapping]] = ..., media_part: _Optional[_Union[_media_pb2.MediaPart, _Mapping]] = ..., switch_accepted: _Optional[_Union[SwitchAccepted, _Mapping]] = ..., switch_applied: _Optional[_Union[SwitchApplied, _Mapping]] = ..., switch_rejected: _Optional[_Union[SwitchRejected, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class SwitchAccepted(_message.Message):
    __slots__ = ("event_id", "garment", "earliest_sequence")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    garment: str
    earliest_sequence: int
    def __init__(self, event_id: _Optional[str] = ..., garment: _Optional[str] = ..., earliest_sequence: _Optional[int] = ...) -> None: ...

class SwitchApplied(_message.Message):
    __slots__ = ("event_id", "cursor", "sequence", "pts", "first_frame", "waited")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    cursor: _media_pb2.Cursor
    sequence: int
    pts: _duration_pb2.Duration
    first_frame: int
    waited: _duration_pb2.Duration
    def __init__(self, event_id: _Optional[str] = ..., cursor: _Optional[_Union[_media_pb2.Cursor, _Mapping]] = ..., sequence: _Optional[int] = ..., pts: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_frame: _Optional[int] = ..., waited: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SwitchRejected(_message.Message):
    __slots__ = ("event_id", "code", "reason", "message")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    code: int
    reason: str
    message: str
    def __init__(self, event_id: _Optional[str] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ("grace",)
    GRACE_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    def __init__(self, grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("reason", "message", "generated")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    GENERATED_FIELD_NUMBER: _ClassVar[int]
    reason: EndReason
    message: str
    generated: _duration_pb2.Duration
    def __init__(self, reason: _Optional[_Union[EndReason, str]] = ..., message: _Optional[str] = ..., generated: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetCapacityRequest(_message.Message):
    __slots__ = ("pacing",)
    PACING_FIELD_NUMBER: _ClassVar[int]
    pacing: PacingMode
    def __init__(self, pacing: _Optional[_Union[PacingMode, str]] = ...) -> None: ...

class GetCapacityResponse(_message.Message):
    __slots__ = ("available", "open", "slots", "retry_after", "realtime_factor")
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    REALTIME_FACTOR_FIELD_NUMBER: _ClassVar[int]
    available: int
    open: int
    slots: int
    retry_after: _duration_pb2.Duration
    realtime_factor: float
    def __init__(self, available: _Optional[int] = ..., open: _Optional[int] = ..., slots: _Optional[int] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., realtime_factor: _Optional[float] = ...) -> None: ...
