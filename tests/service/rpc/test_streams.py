"""Video and events on StreamVideo and Interact."""

import asyncio
import io

import av
import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import media_pb2
from PIL import Image

from service.engine.fake import Delays, FakeEngine
from tests.service.rpc.conftest import Api, Reader, create_request, interact, png, refusal, stream, switch

H264 = pb.Output(format=media_pb2.MEDIA_FORMAT_H264_FMP4)


def count_frames(mp4: bytes) -> int:
    with av.open(io.BytesIO(mp4)) as container:
        return sum(1 for _ in container.decode(video=0))


def frames_in(reader: Reader) -> int:
    return sum(chunk.header.frame_count for chunk in reader.chunks)


async def test_raw_frames_arrive_whole_and_announced(api: Api) -> None:
    reader = stream(api, await api.open())
    ended = await reader.to_end()
    assert (ended.reason, ended.generated.ToMilliseconds()) == (pb.END_REASON_COMPLETED, 5750)
    for chunk in reader.chunks:
        assert list(chunk.header.frame_bytes) == [64 * 64 * 3] * chunk.header.frame_count
        assert chunk.header.duration.ToMicroseconds() == round(chunk.header.frame_count * 1e6 / 12)
    assert frames_in(reader) == 69
    assert [c.header.first_frame for c in reader.chunks] == [0, 9, 21, 33, 45, 57]


async def test_jpeg_frames_are_pictures(api: Api) -> None:
    output = pb.Output(format=media_pb2.MEDIA_FORMAT_JPEG, jpeg_quality=50)
    reader = stream(api, await api.open(output=output, max_duration=1.0))
    await reader.to_end()
    for chunk in reader.chunks:
        at = 0
        for size in chunk.header.frame_bytes:
            with Image.open(io.BytesIO(chunk.media[at : at + size])) as image:
                assert (image.format, image.size) == ("JPEG", (64, 64))
            at += size
        assert at == len(chunk.media)


async def test_h264_is_a_playable_file_with_every_frame(api: Api) -> None:
    reader = stream(api, await api.open(output=H264))
    await reader.to_end()
    assert [bool(chunk.init_segment) for chunk in reader.chunks] == [True] + [False] * (len(reader.chunks) - 1)
    mp4 = reader.chunks[0].init_segment + b"".join(chunk.media for chunk in reader.chunks)
    assert count_frames(mp4) == frames_in(reader) == 69


async def test_h264_from_a_cursor_begins_with_the_init_segment_again(api: Api) -> None:
    session = await api.open(output=H264, detach_grace=60.0)
    first = stream(api, session)
    await first.until_chunks(3)
    first.call.cancel()
    rest = stream(api, session, media_pb2.Cursor(segment=0, chunk=3))
    await rest.to_end()
    assert rest.chunks[0].header.sequence == 3
    assert rest.chunks[0].init_segment == first.chunks[0].init_segment
    mp4 = rest.chunks[0].init_segment + b"".join(chunk.media for chunk in rest.chunks)
    assert count_frames(mp4) == frames_in(rest) == 69 - frames_in(first)


async def test_a_second_stream_takes_over_and_the_first_is_told(api: Api) -> None:
    session = await api.open(max_duration=600.0)
    first = stream(api, session)
    await first.until_chunks(1)
    second = stream(api, session)
    await second.until_chunks(1)
    refused = await refusal(first.to_end())
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "STREAM_TAKEN_OVER")
    await second.until_chunks(8)


async def test_interact_opens_switches_and_ends(api: Api) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(1)
    garment = await api.add_garment(9)
    await reader.call.write(pb.InteractRequest(switch_garment=switch("e", garment)))
    accepted = await reader.until("switch_accepted")
    assert (accepted.event_id, accepted.garment) == ("e", garment)
    assert (await reader.until("switch_applied")).event_id == "e"
    await reader.until_chunks(len(reader.chunks) + 2)
    await reader.call.write(pb.InteractRequest(stop=pb.Stop()))
    assert (await reader.to_end()).reason == pb.END_REASON_STOPPED
    assert await reader.call.code() is grpc.StatusCode.OK
    worn = [chunk.header.garment == garment for chunk in reader.chunks]
    assert worn == sorted(worn)
    await api.free_blocks()


async def test_a_switch_may_bring_its_picture_and_prompt(api: Api) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    source = pb.GarmentSource(picture=media_pb2.Picture(data=png(77)))
    await reader.call.write(
        pb.InteractRequest(switch_garment=pb.GarmentSwitch(event_id="e", garment=source, prompt="turns"))
    )
    applied = await reader.until("switch_applied")
    assert applied.event_id == "e"
    session = (await api.sessions.GetSession(pb.GetSessionRequest(name=reader.events[0].started.session.name))).session
    assert session.prompt == "turns"


async def test_a_client_that_closes_its_half_goes_on_receiving(api: Api) -> None:
    reader = await interact(api, create_request())
    await reader.call.done_writing()
    assert (await reader.to_end()).reason == pb.END_REASON_COMPLETED
    assert frames_in(reader) == 69


async def test_interact_attaches_where_another_stream_was(api: Api) -> None:
    session = await api.open(detach_grace=60.0)
    first = stream(api, session)
    await first.until_chunks(2)
    first.call.cancel()
    call = api.sessions.Interact()
    attach = pb.StreamVideoRequest(name=session, cursor=media_pb2.Cursor(segment=0, chunk=2))
    await call.write(pb.InteractRequest(attach=attach))
    rest = Reader(call)
    await rest.to_end()
    assert frames_in(first) + frames_in(rest) == 69


async def test_credits_bound_what_is_sent(api: Api) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.next()
    await reader.call.write(pb.InteractRequest(credits=pb.PlayoutCredits(chunks=2)))
    await reader.until_chunks(2)
    name = reader.events[0].started.session.name
    await reader.call.write(pb.InteractRequest(credits=pb.PlayoutCredits(chunks=3)))
    await reader.until_chunks(5)
    session = (await api.sessions.GetSession(pb.GetSessionRequest(name=name))).session
    assert session.generated.ToSeconds() <= 9


async def test_pause_holds_the_session_and_resume_lets_it_go_on(api: Api) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(1)
    await reader.call.write(pb.InteractRequest(pause=pb.Pause()))
    name = pb.GetSessionRequest(name=reader.events[0].started.session.name)
    async with asyncio.timeout(5):
        while (await api.sessions.GetSession(name)).session.state != pb.SESSION_STATE_PAUSED:
            await reader.next()
    await reader.call.write(pb.InteractRequest(resume=pb.Resume()))
    await reader.until_chunks(len(reader.chunks) + 8)


async def test_messages_that_come_too_early_have_no_effect(api: Api, engine: FakeEngine) -> None:
    engine._delays = Delays(encode_s=0.2)
    reader = await interact(api, create_request())
    await reader.call.write(pb.InteractRequest(pause=pb.Pause()))
    await reader.call.write(pb.InteractRequest(resume=pb.Resume()))
    assert (await reader.to_end()).reason == pb.END_REASON_COMPLETED


BAD_SWITCHES = {
    "unknown garment": (switch("e", "garments/" + "0" * 32), grpc.StatusCode.NOT_FOUND, "GARMENT_NOT_FOUND"),
    "bad name": (switch("e", "shirt"), grpc.StatusCode.INVALID_ARGUMENT, "NAME_INVALID"),
    "bad prompt": (switch("e", "garments/" + "0" * 32, prompt="\t"), grpc.StatusCode.INVALID_ARGUMENT, "PROMPT_EMPTY"),
    "bad picture": (
        pb.GarmentSwitch(event_id="e", garment=pb.GarmentSource(picture=media_pb2.Picture(data=b"?"))),
        grpc.StatusCode.INVALID_ARGUMENT,
        "IMAGE_UNSUPPORTED_FORMAT",
    ),
    "no garment": (pb.GarmentSwitch(event_id="e"), grpc.StatusCode.INVALID_ARGUMENT, "GARMENT_REQUIRED"),
}


@pytest.mark.parametrize("name", BAD_SWITCHES)
async def test_a_bad_switch_is_rejected_and_the_stream_goes_on(api: Api, name: str) -> None:
    bad, code, reason = BAD_SWITCHES[name]
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(1)
    await reader.call.write(pb.InteractRequest(switch_garment=bad))
    rejected = await reader.until("switch_rejected")
    assert (rejected.event_id, rejected.code, rejected.reason) == ("e", code.value[0], reason)
    assert rejected.message
    await reader.until_chunks(len(reader.chunks) + 3)


MISUSES = {
    "second create": (pb.InteractRequest(create=create_request()), "action", "ACTION_NOT_FIRST"),
    "second attach": (pb.InteractRequest(attach=pb.StreamVideoRequest()), "action", "ACTION_NOT_FIRST"),
    "no action": (pb.InteractRequest(), "action", "ACTION_REQUIRED"),
    "no credits": (
        pb.InteractRequest(credits=pb.PlayoutCredits(chunks=0)),
        "credits.chunks",
        "CREDITS_OUT_OF_RANGE",
    ),
    "many credits": (
        pb.InteractRequest(credits=pb.PlayoutCredits(chunks=4)),
        "credits.chunks",
        "CREDITS_OUT_OF_RANGE",
    ),
}


@pytest.mark.parametrize("name", MISUSES)
async def test_misuse_of_the_protocol_ends_the_stream(api: Api, name: str) -> None:
    message, field, reason = MISUSES[name]
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(1)
    await reader.call.write(message)
    refused = await refusal(reader.to_end())
    assert (refused.code, refused.fields()) == (grpc.StatusCode.INVALID_ARGUMENT, {field: reason})
    await api.free_blocks()


@pytest.mark.parametrize("first", [pb.InteractRequest(pause=pb.Pause()), pb.InteractRequest(), None])
async def test_a_stream_begins_with_create_or_attach(api: Api, first: pb.InteractRequest | None) -> None:
    call = api.sessions.Interact()
    if first is not None:
        await call.write(first)
    await call.done_writing()
    refused = await refusal(Reader(call).next())
    assert refused.fields() == {"action": "FIRST_ACTION_INVALID"}


@pytest.mark.parametrize("says_goodbye", [True, False])
async def test_a_call_ends_behind_its_clients_half_or_a_second_later(api: Api, says_goodbye: bool) -> None:
    """One that ended before would be reset by proxies, and what it said last lost with it."""
    reader = await interact(api, create_request(max_duration=600.0))
    reader.says_goodbye = False
    await reader.until_chunks(1)
    await reader.call.write(pb.InteractRequest(stop=pb.Stop()))
    await reader.until("ended")
    await reader.call.write(pb.InteractRequest(pause=pb.Pause()))  # under way as the session ended
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(reader.call.code()), 0.3)
    if says_goodbye:
        await reader.call.done_writing()
    async with asyncio.timeout(0.5 if says_goodbye else 5.0):
        assert await reader.call.code() is grpc.StatusCode.OK


async def test_a_bad_create_on_interact_names_its_fields(api: Api) -> None:
    reader = await interact(api, create_request(prompt="", person=media_pb2.Picture()))
    assert (await refusal(reader.next())).fields() == {
        "create.prompt": "PROMPT_EMPTY",
        "create.person.data": "IMAGE_EMPTY",
    }


async def test_of_fifty_switches_at_once_each_is_answered_and_the_last_wins(api: Api, engine: FakeEngine) -> None:
    engine._delays = Delays(pass_s=0.002, decode_s=0.005)
    garments = [await api.add_garment(value) for value in (1, 2, 3)]
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(1)
    ids = [f"switch-{number}" for number in range(50)]
    for number, event_id in enumerate(ids):
        await reader.call.write(pb.InteractRequest(switch_garment=switch(event_id, garments[number % 3])))
    answered: set[str] = set()
    while answered != set(ids):
        await reader.next()
        answered |= {event.event_id for kind in ("switch_applied", "switch_rejected") for event in reader.of_kind(kind)}
    await reader.until_chunks(len(reader.chunks) + 2)
    assert [event.event_id for event in reader.of_kind("switch_accepted")] == ids
    assert {event.reason for event in reader.of_kind("switch_rejected")} <= {"SWITCH_SUPERSEDED"}
    applied = reader.of_kind("switch_applied")
    assert applied[-1].event_id == ids[-1]
    assert len(applied) + len(reader.of_kind("switch_rejected")) == 50
    assert reader.chunks[-1].header.garment == garments[49 % 3]
    starts = {(event.cursor.segment, event.cursor.chunk): event.event_id for event in applied}
    for chunk in reader.chunks:  # that segments never go back is checked by Reader
        place = (chunk.header.cursor.segment, chunk.header.cursor.chunk)
        assert list(chunk.header.applied_event_ids) == ([starts[place]] if place in starts else [])
