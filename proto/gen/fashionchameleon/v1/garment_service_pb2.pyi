import datetime

from fashionchameleon.v1 import media_pb2 as _media_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GarmentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GARMENT_STATE_UNSPECIFIED: _ClassVar[GarmentState]
    GARMENT_STATE_ENCODING: _ClassVar[GarmentState]
    GARMENT_STATE_READY: _ClassVar[GarmentState]
    GARMENT_STATE_FAILED: _ClassVar[GarmentState]
GARMENT_STATE_UNSPECIFIED: GarmentState
GARMENT_STATE_ENCODING: GarmentState
GARMENT_STATE_READY: GarmentState
GARMENT_STATE_FAILED: GarmentState

class Garment(_message.Message):
    __slots__ = ("name", "state", "create_time", "display_name")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: GarmentState
    create_time: _timestamp_pb2.Timestamp
    display_name: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[GarmentState, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., display_name: _Optional[str] = ...) -> None: ...

class CreateGarmentRequest(_message.Message):
    __slots__ = ("picture", "display_name", "request_id")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    picture: _media_pb2.Picture
    display_name: str
    request_id: str
    def __init__(self, picture: _Optional[_Union[_media_pb2.Picture, _Mapping]] = ..., display_name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateGarmentResponse(_message.Message):
    __slots__ = ("garment",)
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    garment: Garment
    def __init__(self, garment: _Optional[_Union[Garment, _Mapping]] = ...) -> None: ...

class GetGarmentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetGarmentResponse(_message.Message):
    __slots__ = ("garment",)
    GARMENT_FIELD_NUMBER: _ClassVar[int]
    garment: Garment
    def __init__(self, garment: _Optional[_Union[Garment, _Mapping]] = ...) -> None: ...

class ListGarmentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGarmentsResponse(_message.Message):
    __slots__ = ("garments", "next_page_token")
    GARMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    garments: _containers.RepeatedCompositeFieldContainer[Garment]
    next_page_token: str
    def __init__(self, garments: _Optional[_Iterable[_Union[Garment, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteGarmentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteGarmentResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
