"""Between the proto's messages and the SDK's values."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path

import grpc
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2, media_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from chameleon import types
from chameleon.errors import InvalidArgument, Violation

MAX_PICTURE_BYTES = 10 << 20
"""As the proto says. What is far larger gRPC would refuse to send, with an error that names no field."""
_NS = 1_000_000_000
_LONGEST_S = 10_000 * 365.25 * 24 * 3600  # google.protobuf.Duration's limit
_GARMENT_PREFIX = "garments/"


def seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / _NS


def duration(value_s: float) -> Duration:
    """ValueError for what no duration can be."""
    if not abs(value_s) <= _LONGEST_S:
        raise ValueError(f"a duration cannot be {value_s:g} s")
    message = Duration()
    message.FromNanoseconds(round(value_s * _NS))
    return message


def session_info(message: pb.Session, affinity: str | None) -> types.SessionInfo:
    return types.SessionInfo(
        name=message.name,
        state=types.SessionState(message.state),
        created=_datetime(message.create_time),
        garment=message.garment,
        prompt=message.prompt,
        seed=message.seed,
        format=types.MediaFormat(message.output.format),
        pacing=types.Pacing(message.pacing),
        policy=types.Policy(message.policy),
        width=message.width,
        height=message.height,
        frames_per_second=message.frames_per_second,
        generated_s=seconds(message.generated),
        end_reason=types.EndReason(message.end_reason) if message.end_reason else None,
        affinity=affinity,
    )


def garment(message: garment_service_pb2.Garment, affinity: str | None) -> types.Garment:
    return types.Garment(
        name=message.name,
        state=types.GarmentState(message.state),
        created=_datetime(message.create_time),
        display_name=message.display_name,
        affinity=affinity,
    )


def capacity(message: pb.GetCapacityResponse, affinity: str | None) -> types.Capacity:
    return types.Capacity(
        available=message.available,
        open=message.open,
        slots=message.slots,
        retry_after_s=seconds(message.retry_after) if message.HasField("retry_after") else None,
        realtime_factor=message.realtime_factor,
        affinity=affinity,
    )


def cursor(message: media_pb2.Cursor) -> types.Cursor:
    return types.Cursor(segment=message.segment, chunk=message.chunk)


def switch_accepted(message: pb.SwitchAccepted) -> types.SwitchAccepted:
    return types.SwitchAccepted(
        event_id=message.event_id, garment=message.garment, earliest_sequence=message.earliest_sequence
    )


def switch_applied(message: pb.SwitchApplied) -> types.SwitchApplied:
    return types.SwitchApplied(
        event_id=message.event_id,
        cursor=cursor(message.cursor),
        sequence=message.sequence,
        pts_s=seconds(message.pts),
        first_frame=message.first_frame,
        waited_s=seconds(message.waited),
    )


def timings(message: media_pb2.ChunkTimings) -> types.ChunkTimings:
    return types.ChunkTimings(
        queue=seconds(message.queue),
        encode=seconds(message.encode),
        prefill=seconds(message.prefill),
        denoise=seconds(message.denoise),
        decode=seconds(message.decode),
        media=seconds(message.media),
    )


def ended(message: pb.Ended) -> types.Ended:
    return types.Ended(
        reason=types.EndReason(message.reason), message=message.message, generated_s=seconds(message.generated)
    )


async def picture(source: types.PictureSource, field: str) -> media_pb2.Picture:
    """The picture's bytes; a file is read in a thread, and no further than a picture may go.

    Args:
        field: where it stands in the request, for the error.

    Raises:
        InvalidArgument: it has more bytes than a picture may have.
        OSError: the file cannot be read.
    """
    data = await asyncio.to_thread(_read, source) if isinstance(source, Path) else source
    if len(data) > MAX_PICTURE_BYTES:
        wrong = Violation(
            field=f"{field}.data",
            description=f"the picture has more than {MAX_PICTURE_BYTES:,} bytes, the limit",
            reason="IMAGE_TOO_LARGE",
        )
        raise InvalidArgument(
            f"{wrong.field}: {wrong.description}",
            code=grpc.StatusCode.INVALID_ARGUMENT,
            reason=wrong.reason,
            violations=(wrong,),
        )
    return media_pb2.Picture(data=data)


async def garment_source(source: types.GarmentSource, field: str) -> pb.GarmentSource:
    """A garment's name, or its picture; see `picture`.

    Raises:
        ValueError: a string that is no garment's name.
        InvalidArgument: the picture has too many bytes.
        OSError: the file cannot be read.
    """
    if isinstance(source, types.Garment):
        return pb.GarmentSource(garment=source.name)
    if isinstance(source, str):
        if not source.startswith(_GARMENT_PREFIX):
            raise ValueError(f"a garment's name begins with {_GARMENT_PREFIX}, got {source!r}; a file is a Path")
        return pb.GarmentSource(garment=source)
    return pb.GarmentSource(picture=await picture(source, f"{field}.picture"))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_PICTURE_BYTES + 1)


def _datetime(stamp: Timestamp) -> datetime:
    return datetime.fromtimestamp(stamp.ToNanoseconds() / _NS, tz=timezone.utc)
