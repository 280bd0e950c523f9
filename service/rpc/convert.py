"""From the service's nouns to the proto's. Enums of both are named alike."""

from __future__ import annotations

from collections.abc import Iterator

from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2, media_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.core.admission import Capacity
from service.core.events import (
    ChunkReady,
    Cursor,
    Draining,
    Ended,
    SessionView,
    Started,
    StreamEvent,
    SwitchAccepted,
    SwitchApplied,
    SwitchRejected,
    Timings,
)
from service.media.video import split_parts
from service.runtime.garments import GarmentView

_NS = 1_000_000_000


def duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * _NS))
    return message


def timestamp(unix_s: float) -> Timestamp:
    message = Timestamp()
    message.FromNanoseconds(round(unix_s * _NS))
    return message


def session(view: SessionView) -> pb.Session:
    config = view.config
    return pb.Session(
        name=f"sessions/{view.id}",
        state=f"SESSION_STATE_{view.state.name}",
        create_time=timestamp(view.created_s),
        garment=garment_name(view.garment),
        prompt=view.prompt,
        seed=config.seed,
        output=pb.Output(format=f"MEDIA_FORMAT_{config.format.name}", jpeg_quality=config.jpeg_quality),
        pacing=f"PACING_MODE_{config.pacing.name}",
        policy=f"RESCHEDULING_POLICY_{config.policy.name}",
        width=view.width,
        height=view.height,
        frames_per_second=view.frames_per_second,
        generated=duration(view.generated_s),
        next=cursor(view.next),
        end_reason=f"END_REASON_{view.end_reason.name}" if view.end_reason else None,
    )


def garment(view: GarmentView) -> garment_service_pb2.Garment:
    return garment_service_pb2.Garment(
        name=garment_name(view.id),
        state=f"GARMENT_STATE_{view.state.name}",
        create_time=timestamp(view.created_s),
        display_name=view.display_name,
    )


def garment_name(garment_id: str) -> str:
    return f"garments/{garment_id}"


def cursor(place: Cursor) -> media_pb2.Cursor:
    return media_pb2.Cursor(segment=place.segment, chunk=place.chunk)


def capacity(room: Capacity) -> pb.GetCapacityResponse:
    response = pb.GetCapacityResponse(
        available=room.available, open=room.open, slots=room.slots, realtime_factor=room.realtime_factor
    )
    if room.retry_after_s is not None:
        response.retry_after.CopyFrom(duration(room.retry_after_s))
    return response


def switch_accepted(event: SwitchAccepted) -> pb.SwitchAccepted:
    return pb.SwitchAccepted(
        event_id=event.event_id,
        garment=garment_name(event.garment),
        earliest_sequence=event.earliest_sequence,
    )


def stream_events(event: StreamEvent, *, with_init_segment: bool) -> Iterator[pb.StreamEvent]:
    """The messages that tell an event: one, but for a chunk, which is a header and its media's parts.

    Args:
        with_init_segment: the chunk's media begin with the init segment.
    """
    match event:
        case ChunkReady():
            yield from _chunk(event, event.init_segment if with_init_segment else b"")
        case Started():
            yield pb.StreamEvent(started=pb.Started(session=session(event.session)))
        case SwitchAccepted():
            yield pb.StreamEvent(switch_accepted=switch_accepted(event))
        case SwitchApplied():
            yield pb.StreamEvent(switch_applied=_switch_applied(event))
        case SwitchRejected():
            rejected = pb.SwitchRejected(
                event_id=event.event_id, code=event.code, reason=event.reason, message=event.message
            )
            yield pb.StreamEvent(switch_rejected=rejected)
        case Draining():
            yield pb.StreamEvent(draining=pb.Draining(grace=duration(event.grace_s)))
        case Ended():
            ended = pb.Ended(
                reason=f"END_REASON_{event.reason.name}",
                message=event.message,
                generated=duration(event.generated_s),
            )
            yield pb.StreamEvent(ended=ended)


def _chunk(chunk: ChunkReady, init_segment: bytes) -> Iterator[pb.StreamEvent]:
    init_parts, media_parts = split_parts(init_segment), split_parts(chunk.media)
    info = chunk.info
    yield pb.StreamEvent(
        chunk_header=media_pb2.ChunkHeader(
            sequence=info.sequence,
            cursor=cursor(info.cursor),
            pts=duration(info.pts_s),
            duration=duration(info.duration_s),
            first_frame=info.first_frame,
            frame_count=info.frame_count,
            garment=garment_name(info.garment),
            applied_event_ids=info.applied_event_ids,
            media_bytes=len(chunk.media),
            part_count=len(init_parts) + len(media_parts),
            frame_bytes=chunk.frame_bytes,
            timings=_timings(info.timings),
            degradation=info.degradation,
        )
    )
    for index, data in enumerate(init_parts + media_parts):
        part = media_pb2.MediaPart(sequence=info.sequence, index=index, init_segment=index < len(init_parts), data=data)
        yield pb.StreamEvent(media_part=part)


def _switch_applied(event: SwitchApplied) -> pb.SwitchApplied:
    return pb.SwitchApplied(
        event_id=event.event_id,
        cursor=cursor(event.cursor),
        sequence=event.sequence,
        pts=duration(event.pts_s),
        first_frame=event.first_frame,
        waited=duration(event.waited_s),
    )


def _timings(timings: Timings) -> media_pb2.ChunkTimings:
    return media_pb2.ChunkTimings(
        queue=duration(timings.queue),
        encode=duration(timings.encode),
        prefill=duration(timings.prefill),
        denoise=duration(timings.denoise),
        decode=duration(timings.decode),
        media=duration(timings.media),
    )
