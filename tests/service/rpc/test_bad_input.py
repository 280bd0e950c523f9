"""What the API refuses, and that it names the field and the limit."""

import io
import zlib

import grpc
import numpy as np
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2 as garment_pb
from fashionchameleon.v1 import media_pb2
from PIL import Image

from service.core.events import SessionConfig
from service.rpc import limits
from tests.service.rpc.conftest import (
    Api,
    create_request,
    interact,
    picture_file,
    png,
    refusal,
    stream,
    switch,
)

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
UNKNOWN = "0" * 32


def animated() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in a few hundred bytes: the header alone must do."""

    def box(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = (20_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + box(b"IHDR", header) + box(b"IDAT", zlib.compress(bytes(1000))) + box(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
BAD_PICTURES = {
    "empty": (b"", "IMAGE_EMPTY", "empty"),
    "undecodable": (b"\xff\xd8\xff\xe0" + bytes(range(256)), "IMAGE_UNDECODABLE", "damaged"),
    "truncated": (picture_file(NOISE, "JPEG")[:4000], "IMAGE_UNDECODABLE", "damaged"),
    "bomb": (bomb(), "IMAGE_TOO_LARGE", "12,582,912 pixels"),
    "animated": (animated(), "IMAGE_ANIMATED", "still pictures"),
    "wrong type": (b"GIF89a" + bytes(100), "IMAGE_UNSUPPORTED_FORMAT", "JPEG, PNG or WebP"),
    "one pixel": (picture_file(np.zeros((1, 1, 3), np.uint8)), "IMAGE_TOO_SMALL", "at least 16"),
    "too many bytes": (png(1) + bytes(10 << 20), "IMAGE_TOO_LARGE", "10,485,760"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
async def test_a_bad_picture_is_refused_wherever_it_comes(api: Api, name: str) -> None:
    data, reason, limit = BAD_PICTURES[name]
    picture = media_pb2.Picture(data=data)
    source = pb.GarmentSource(picture=picture)
    session = await api.open()
    for call, field in (
        (api.sessions.CreateSession(create_request(person=picture)), "person.data"),
        (api.sessions.CreateSession(create_request(garment=source)), "garment.picture.data"),
        (api.garments.CreateGarment(garment_pb.CreateGarmentRequest(picture=picture)), "picture.data"),
        (
            api.sessions.SwitchGarment(
                pb.SwitchGarmentRequest(name=session, switch_garment=pb.GarmentSwitch(event_id="e", garment=source))
            ),
            "switch_garment.garment.picture.data",
        ),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (INVALID, reason)
        assert refused.fields() == {field: reason}
        assert limit in refused.message


async def test_a_cmyk_picture_is_as_good_as_any(api: Api) -> None:
    file = io.BytesIO()
    Image.new("CMYK", (100, 120), (0, 80, 80, 0)).save(file, "JPEG")
    picture = media_pb2.Picture(data=file.getvalue())
    session = await api.open(person=picture, garment=pb.GarmentSource(picture=picture))
    assert (await stream(api, session).to_end()).reason == pb.END_REASON_COMPLETED


@pytest.mark.parametrize(
    ("prompt", "reason", "limit"),
    [
        ("", "PROMPT_EMPTY", "1 to 1000"),
        ("   ", "PROMPT_EMPTY", "1 to 1000"),
        ("waves\x07", "PROMPT_CONTROL_CHARACTER", "U+0007 at 5"),
        ("two\nlines", "PROMPT_CONTROL_CHARACTER", "U+000A at 3"),
        ("w" * 1001, "PROMPT_TOO_LONG", "at most 1000"),
        ("w" * 128, "PROMPT_TOO_LONG", "at most 128"),
        ("é" * 64, "PROMPT_TOO_LONG", "129 tokens"),
    ],
)
async def test_a_bad_prompt_is_refused(api: Api, prompt: str, reason: str, limit: str) -> None:
    refused = await refusal(api.sessions.CreateSession(create_request(prompt=prompt)))
    assert (refused.code, refused.fields()) == (INVALID, {"prompt": reason})
    assert limit in refused.message


async def test_the_longest_prompt_is_taken(api: Api) -> None:
    assert await api.open(prompt="w" * 127)


async def test_everything_wrong_is_told_at_once(api: Api) -> None:
    request = create_request(
        request_id="7",
        person=media_pb2.Picture(data=b"x"),
        garment=pb.GarmentSource(garment="shirts/1"),
        prompt="",
        output=pb.Output(format=9, jpeg_quality=101),
        pacing=8,
        policy=77,
        max_duration=limits.MAX_DURATION_S + 1,
        detach_grace=-1.0,
    )
    refused = await refusal(api.sessions.CreateSession(request))
    assert refused.fields() == {
        "request_id": "REQUEST_ID_INVALID",
        "person.data": "IMAGE_UNSUPPORTED_FORMAT",
        "garment.garment": "NAME_INVALID",
        "prompt": "PROMPT_EMPTY",
        "output.format": "ENUM_UNKNOWN",
        "output.jpeg_quality": "JPEG_QUALITY_OUT_OF_RANGE",
        "pacing": "ENUM_UNKNOWN",
        "policy": "ENUM_UNKNOWN",
        "max_duration": "DURATION_OUT_OF_RANGE",
        "detach_grace": "DURATION_OUT_OF_RANGE",
    }
    assert all(v.description for v in refused.details["BadRequest"].field_violations)


async def test_a_session_needs_a_garment(api: Api) -> None:
    refused = await refusal(api.sessions.CreateSession(create_request(garment=pb.GarmentSource())))
    assert refused.fields() == {"garment": "GARMENT_REQUIRED"}


async def test_a_switch_is_checked_field_by_field(api: Api) -> None:
    bad = switch("", f"garments/{UNKNOWN}", prompt="\x00", policy=9)
    bad.not_before.FromSeconds(-1)
    refused = await refusal(
        api.sessions.SwitchGarment(pb.SwitchGarmentRequest(name=await api.open(), switch_garment=bad))
    )
    assert refused.fields() == {
        "switch_garment.event_id": "EVENT_ID_LENGTH",
        "switch_garment.prompt": "PROMPT_CONTROL_CHARACTER",
        "switch_garment.policy": "ENUM_UNKNOWN",
        "switch_garment.not_before": "DURATION_OUT_OF_RANGE",
    }


async def test_names_are_checked_before_they_are_looked_up(api: Api) -> None:
    for name in ("", "sessions/", "sessions/ABC", f"garments/{UNKNOWN}", f"sessions/{UNKNOWN}/x", "x" * 10_000):
        refused = await refusal(api.sessions.GetSession(pb.GetSessionRequest(name=name)))
        assert (refused.code, refused.fields()) == (INVALID, {"name": "NAME_INVALID"})


async def test_an_unknown_session_is_not_found_by_any_method(api: Api) -> None:
    name = f"sessions/{UNKNOWN}"
    garment = await api.add_garment(10)
    for call in (
        api.sessions.GetSession(pb.GetSessionRequest(name=name)),
        api.sessions.DeleteSession(pb.DeleteSessionRequest(name=name)),
        api.sessions.SwitchGarment(pb.SwitchGarmentRequest(name=name, switch_garment=switch("e", garment))),
        stream(api, name).next(),
        (await interact(api, name)).next(),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (NOT_FOUND, "SESSION_NOT_FOUND")
        info = refused.details["ResourceInfo"]
        assert (info.resource_type, info.resource_name) == ("fashionchameleon.v1.Session", name)


async def test_an_unknown_garment_is_not_found_by_any_method(api: Api) -> None:
    name = f"garments/{UNKNOWN}"
    session = await api.open()
    for call in (
        api.garments.GetGarment(garment_pb.GetGarmentRequest(name=name)),
        api.garments.DeleteGarment(garment_pb.DeleteGarmentRequest(name=name)),
        api.sessions.CreateSession(create_request(garment=pb.GarmentSource(garment=name))),
        api.sessions.SwitchGarment(pb.SwitchGarmentRequest(name=session, switch_garment=switch("e", name))),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (NOT_FOUND, "GARMENT_NOT_FOUND")
        info = refused.details["ResourceInfo"]
        assert (info.resource_type, info.resource_name) == ("fashionchameleon.v1.Garment", name)


async def test_a_segment_that_never_was_is_out_of_range(api: Api) -> None:
    session = await api.open(max_duration=60.0)
    reader = stream(api, session)
    await reader.until_chunks(8)
    for cursor, reason in (((7, 0), "CURSOR_AHEAD"), ((0, 0), "CURSOR_EXPIRED")):
        place = media_pb2.Cursor(segment=cursor[0], chunk=cursor[1])
        refused = await refusal(stream(api, session, place).next())
        assert (refused.code, refused.reason) == (grpc.StatusCode.OUT_OF_RANGE, reason)
    await reader.until_chunks(10)


async def test_pages_are_bounded_and_their_tokens_ours(api: Api) -> None:
    for size, token, fields in (
        (-1, "", {"page_size": "PAGE_SIZE_OUT_OF_RANGE"}),
        (1001, "?", {"page_size": "PAGE_SIZE_OUT_OF_RANGE", "page_token": "PAGE_TOKEN_INVALID"}),
        (1, "é", {"page_token": "PAGE_TOKEN_INVALID"}),
        (1, "bm90IGEgbnVtYmVy", {"page_token": "PAGE_TOKEN_INVALID"}),
    ):
        refused = await refusal(api.sessions.ListSessions(pb.ListSessionsRequest(page_size=size, page_token=token)))
        assert (refused.code, refused.fields()) == (INVALID, fields)
        request = garment_pb.ListGarmentsRequest(page_size=size, page_token=token)
        assert (await refusal(api.garments.ListGarments(request))).fields() == fields


async def test_a_label_is_bounded(api: Api) -> None:
    request = garment_pb.CreateGarmentRequest(picture=media_pb2.Picture(data=png(3)), display_name="x" * 201)
    assert (await refusal(api.garments.CreateGarment(request))).fields() == {"display_name": "DISPLAY_NAME_TOO_LONG"}


async def test_capacity_is_asked_for_a_known_pacing(api: Api) -> None:
    refused = await refusal(api.sessions.GetCapacity(pb.GetCapacityRequest(pacing=5)))
    assert refused.fields() == {"pacing": "ENUM_UNKNOWN"}


async def test_what_is_left_out_has_the_documented_defaults(api: Api) -> None:
    request = pb.CreateSessionRequest(
        person=media_pb2.Picture(data=png(50)),
        garment=pb.GarmentSource(picture=media_pb2.Picture(data=png(10))),
        prompt="waves",
    )
    session = (await api.sessions.CreateSession(request)).session
    assert session.seed > 0
    assert (session.output.format, session.output.jpeg_quality) == (media_pb2.MEDIA_FORMAT_H264_FMP4, 90)
    assert session.pacing == pb.PACING_MODE_REALTIME
    assert session.policy == pb.RESCHEDULING_POLICY_REFRESH_WITHDRAW_DISENTANGLE
    assert (session.width, session.height, session.frames_per_second) == (64, 64, 12)
    config: SessionConfig = api.app.orchestrator.list_sessions("default")[0].config
    assert (config.max_duration_s, config.detach_grace_s) == (3600.0, 1.0)
