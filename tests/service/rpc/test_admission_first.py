"""What is refused is refused before it costs anything."""

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2 as garment_pb
from fashionchameleon.v1 import media_pb2

from service.engine.base import EngineError
from service.engine.fake import FakeEngine
from service.rpc import intake
from tests.service.rpc.conftest import Api, create_request, new_request_id, png, refusal, switch
from tests.service.rpc.test_server import metric, scrape

UNREADABLE = media_pb2.Picture(data=b"no picture")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Pictures that were decoded."""
    seen, decode = [], intake.decode_picture

    def noted(data: bytes, **options: int) -> object:
        seen.append(data)
        return decode(data, **options)

    monkeypatch.setattr(intake, "decode_picture", noted)
    return seen


@pytest.mark.parametrize("why", ["SESSION_CAPACITY", "ENGINE_DOWN", "DRAINING"])
async def test_a_session_that_finds_no_place_is_refused_before_its_pictures_are_decoded(
    api: Api, engine: FakeEngine, decoded: list[bytes], why: str
) -> None:
    match why:
        case "SESSION_CAPACITY":
            for _ in range(4):
                await api.open(max_duration=600.0)
        case "ENGINE_DOWN":
            engine.crash()
        case "DRAINING":
            api.app.orchestrator.begin_drain(60.0)
    stored = api.app.orchestrator.garments.list("default")
    decoded.clear()
    garment = pb.GarmentSource(picture=media_pb2.Picture(data=png(99)))
    assert (await refusal(api.sessions.CreateSession(create_request(garment=garment)))).reason == why
    assert not decoded
    assert api.app.orchestrator.garments.list("default") == stored
    assert metric(await scrape(api), f'chameleon_sessions_rejected_total{{reason="{why}"}}') == 1


async def test_a_full_service_still_says_what_is_wrong_with_a_request(api: Api) -> None:
    for _ in range(4):
        await api.open(max_duration=600.0)
    refused = await refusal(api.sessions.CreateSession(create_request(prompt="", person=UNREADABLE)))
    assert refused.fields() == {"prompt": "PROMPT_EMPTY", "person.data": "IMAGE_UNSUPPORTED_FORMAT"}
    assert metric(await scrape(api), 'chameleon_sessions_rejected_total{reason="SESSION_CAPACITY"}') == 0


async def test_a_request_that_was_answered_is_answered_again_though_the_service_is_full(api: Api) -> None:
    request = create_request(request_id=new_request_id(), max_duration=600.0)
    first = await api.sessions.CreateSession(request)
    for _ in range(3):
        await api.open(max_duration=600.0)
    assert await api.sessions.CreateSession(request) == first


async def test_an_unknown_garment_is_refused_before_the_person_is_decoded(api: Api, decoded: list[bytes]) -> None:
    garment = pb.GarmentSource(garment="garments/" + "0" * 32)
    refused = await refusal(api.sessions.CreateSession(create_request(garment=garment)))
    assert (refused.reason, decoded) == ("GARMENT_NOT_FOUND", [])


async def test_a_garment_that_could_not_be_encoded_opens_no_session_and_no_switch(
    api: Api, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await api.open(max_duration=600.0)
    encode = engine.encode_image

    async def refuses(rgb: object) -> None:
        raise EngineError("no cloth")

    monkeypatch.setattr(engine, "encode_image", refuses)
    request = garment_pb.CreateGarmentRequest(picture=media_pb2.Picture(data=png(3)))
    monkeypatch.setattr(engine, "encode_image", refuses)
    created = await refusal(api.garments.CreateGarment(request))
    assert (created.code, created.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GARMENT_NOT_READY")
    monkeypatch.setattr(engine, "encode_image", encode)
    (failed,) = [
        garment
        for garment in (await api.garments.ListGarments(garment_pb.ListGarmentsRequest())).garments
        if garment.state == garment_pb.GARMENT_STATE_FAILED
    ]
    for call in (
        api.sessions.CreateSession(create_request(garment=pb.GarmentSource(garment=failed.name))),
        api.sessions.SwitchGarment(pb.SwitchGarmentRequest(name=session, switch_garment=switch("e", failed.name))),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GARMENT_NOT_READY")
        assert refused.details["PreconditionFailure"].violations[0].subject == failed.name
    assert len(api.app.orchestrator.list_sessions("default")) == 1
    assert (await api.garments.CreateGarment(request)).garment.name == failed.name
    await api.open(garment=pb.GarmentSource(garment=failed.name))
