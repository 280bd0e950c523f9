import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MediaFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEDIA_FORMAT_UNSPECIFIED: _ClassVar[MediaFormat]
    MEDIA_FORMAT_H264_FMP4: _ClassVar[MediaFormat]
    MEDIA_FORMAT_JPEG: _ClassVar[MediaFormat]
    MEDIA_FORMAT_RAW_RGB24: _ClassVar[MediaFormat]
MEDIA_FORMAT_UNSPECIFIED: MediaFormat
MEDIA_FORMAT_H264_FMP4: MediaFormat
MEDIA_FORMAT_JPEG: MediaFormat
MEDIA_FORMAT_RAW_RGB24: MediaFormat

class Picture(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Cursor(_message.Message):
    __slots__ = ("segment", "chunk")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    segment: int
    chunk: int
    def __init__(self, segment: _Optional[int] = ..., chunk: _Optional[int] = ...) -> None: ...

class ChunkHeader(_message.Message):
    __slots__ = ("sequence", "cursor", "pts", "duration", "first_frame", "frame_count", "garment", "applied_event_ids", "media_bytes", "part_count", "frame_bytes", "timings", "degradation")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PTS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_BYTES_FIELD_NUMBER: _ClassVar[int]
    PART_COUNT_FIELD_NUMBER: _ClassVar[int]
    FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    DEGRADATION_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    cursor: Cursor
    pts: _duration_pb2.Duration
    duration: _duration_pb2.Duration
    first_frame: int
    frame_count: int
    garment: str
    applied_event_ids: _containers.RepeatedScalarFieldContainer[str]
    media_bytes: int
    part_count: int
    frame_bytes: _containers.RepeatedScalarFieldContainer[int]
    timings: ChunkTimings
    degradation: int
    def __init__(self, sequence: _Optional[int] = ..., cursor: _Optional[_Union[Cursor, _Mapping]] = ..., pts: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_frame: _Optional[int] = ..., frame_count: _Optional[int] = ..., garment: _Optional[str] = ..., applied_event_ids: _Optional[_Iterable[str]] = ..., media_bytes: _Optional[int] = ..., part_count: _Optional[int] = ..., frame_bytes: _Optional[_Iterable[int]] = ..., timings: _Optional[_Union[ChunkTimings, _Mapping]] = ..., degradation: _Optional[int] = ...) -> None: ...

class ChunkTimings(_message.Message):
    __slots__ = ("queue", "encode", "prefill", "denoise", "decode", "media")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    PREFILL_FIELD_NUMBER: _ClassVar[int]
    DENOISE_FIELD_NUMBER: _ClassVar[int]
    DECODE_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FIELD_NUMBER: _ClassVar[int]
    queue: _duration_pb2.Duration
    encode: _duration_pb2.Duration
    prefill: _duration_pb2.Duration
    denoise: _duration_pb2.Duration
    decode: _duration_pb2.Duration
    media: _duration_pb2.Duration
    def __init__(self, queue: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., encode: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., prefill: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., denoise: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., decode: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., media: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class MediaPart(_message.Message):
    __slots__ = ("sequence", "index", "init_segment", "data")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    INIT_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    index: int
    init_segment: bool
    data: bytes
    def __init__(self, sequence: _Optional[int] = ..., index: _Optional[int] = ..., init_segment: _Optional[bool] = ..., data: _Optional[bytes] = ...) -> None: ...
