"""Sessions and garments by unary calls: their lives, their lists, and who may see them."""

import asyncio
import hashlib
from dataclasses import replace

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2 as garment_pb
from fashionchameleon.v1 import media_pb2

from service.app import running
from service.config import Settings
from service.engine.fake import FakeEngine
from tests.service.rpc.conftest import (
    SETTINGS,
    Api,
    connected,
    create_request,
    new_request_id,
    png,
    refusal,
    stream,
    switch,
)
from tests.service.runtime.conftest import until

TOKENS = {"alice": "sesame", "bob": "mellon"}
TWO_TENANTS = replace(
    SETTINGS, tokens={hashlib.sha256(token.encode()).digest(): tenant for tenant, token in TOKENS.items()}
)


async def test_a_session_lives_from_create_to_delete(api: Api) -> None:
    created = (await api.sessions.CreateSession(create_request(max_duration=600.0))).session
    assert created.state == pb.SESSION_STATE_OPENING
    assert (created.prompt, created.seed) == ("waves", 7)
    got = (await api.sessions.GetSession(pb.GetSessionRequest(name=created.name))).session
    assert got.name == created.name
    assert abs(got.create_time.ToSeconds() - created.create_time.ToSeconds()) == 0
    for _ in range(2):
        await api.sessions.DeleteSession(pb.DeleteSessionRequest(name=created.name))
    await api.free_blocks()
    ended = (await api.sessions.GetSession(pb.GetSessionRequest(name=created.name))).session
    assert (ended.state, ended.end_reason) == (pb.SESSION_STATE_ENDED, pb.END_REASON_STOPPED)


async def test_sessions_are_listed_newest_first_page_by_page(api: Api) -> None:
    names = [await api.open() for _ in range(3)]
    seen, token = [], ""
    while True:
        answer = await api.sessions.ListSessions(pb.ListSessionsRequest(page_size=2, page_token=token))
        seen += [session.name for session in answer.sessions]
        token = answer.next_page_token
        if not token:
            break
    assert seen == names[::-1]


async def test_garments_are_addressed_by_content(api: Api) -> None:
    request = garment_pb.CreateGarmentRequest(picture=media_pb2.Picture(data=png(1)), display_name="one")
    first = (await api.garments.CreateGarment(request)).garment
    again = (await api.garments.CreateGarment(request)).garment
    other = await api.add_garment(2)
    assert first == again
    assert first.name == f"garments/{hashlib.sha256(png(1)).hexdigest()[:32]}"
    assert (first.state, first.display_name) == (garment_pb.GARMENT_STATE_READY, "one")
    assert (await api.garments.GetGarment(garment_pb.GetGarmentRequest(name=first.name))).garment == first
    page = await api.garments.ListGarments(garment_pb.ListGarmentsRequest(page_size=1))
    assert [garment.name for garment in page.garments] == [other]
    page = await api.garments.ListGarments(garment_pb.ListGarmentsRequest(page_token=page.next_page_token))
    assert [garment.name for garment in page.garments] == [first.name]
    await api.garments.DeleteGarment(garment_pb.DeleteGarmentRequest(name=first.name))
    gone = await refusal(api.garments.GetGarment(garment_pb.GetGarmentRequest(name=first.name)))
    assert gone.reason == "GARMENT_NOT_FOUND"


async def test_a_session_goes_on_wearing_a_garment_that_was_deleted(api: Api) -> None:
    name = await api.add_garment(1)
    session = await api.open(garment=pb.GarmentSource(garment=name))
    reader = stream(api, session)
    await reader.until_chunks(1)
    await api.garments.DeleteGarment(garment_pb.DeleteGarmentRequest(name=name))
    assert (await reader.to_end()).reason == pb.END_REASON_COMPLETED


async def test_the_same_request_id_gives_the_same_session(api: Api) -> None:
    request = create_request(request_id=new_request_id())
    first = await api.sessions.CreateSession(request)
    assert await api.sessions.CreateSession(request) == first
    assert len((await api.sessions.ListSessions(pb.ListSessionsRequest())).sessions) == 1


async def test_the_same_request_id_at_the_same_time_gives_the_same_session(api: Api) -> None:
    request = create_request(request_id=new_request_id())
    answers = await asyncio.gather(*(api.sessions.CreateSession(request) for _ in range(5)))
    assert len({answer.session.name for answer in answers}) == 1
    assert len((await api.sessions.ListSessions(pb.ListSessionsRequest())).sessions) == 1


async def test_the_same_request_id_with_other_content_is_refused(api: Api) -> None:
    request_id = new_request_id()
    await api.open(request_id=request_id)
    refused = await refusal(api.sessions.CreateSession(create_request(request_id=request_id, seed=8)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    requests = [
        garment_pb.CreateGarmentRequest(picture=media_pb2.Picture(data=png(value)), request_id=request_id)
        for value in (1, 2)
    ]
    await api.garments.CreateGarment(requests[0])  # each method has its own
    assert (await refusal(api.garments.CreateGarment(requests[1]))).reason == "REQUEST_ID_REUSED"


async def test_a_request_that_failed_may_be_sent_again(api: Api) -> None:
    request = create_request(request_id=new_request_id())
    others = [await api.open(max_duration=600.0) for _ in range(4)]
    assert (await refusal(api.sessions.CreateSession(request))).reason == "SESSION_CAPACITY"
    await api.sessions.DeleteSession(pb.DeleteSessionRequest(name=others[0]))
    await api.free_blocks(1)
    await api.sessions.CreateSession(request)


async def test_a_full_service_says_when_to_ask_again(api: Api) -> None:
    for _ in range(4):
        await api.open(max_duration=600.0)
    refused = await refusal(api.sessions.CreateSession(create_request()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SESSION_CAPACITY")
    retry_s = refused.details["RetryInfo"].retry_delay.ToMilliseconds() / 1000
    capacity = await api.sessions.GetCapacity(pb.GetCapacityRequest(pacing=pb.PACING_MODE_UNPACED))
    assert (capacity.available, capacity.open, capacity.slots) == (0, 4, 4)
    assert 1.0 <= capacity.retry_after.ToMilliseconds() / 1000 <= 30.0
    assert 1.0 <= retry_s <= 30.0


async def test_a_switch_by_a_bystander_is_accepted_and_applied(api: Api) -> None:
    session = await api.open(max_duration=20.0)
    reader = stream(api, session)
    await reader.until_chunks(1)
    request = pb.SwitchGarmentRequest(name=session, switch_garment=switch("e", await api.add_garment(9)))
    first = await api.sessions.SwitchGarment(request)
    assert await api.sessions.SwitchGarment(request) == first
    applied = await reader.until("switch_applied")
    assert (applied.event_id, applied.cursor.segment) == ("e", 1)
    assert applied.sequence >= first.accepted.earliest_sequence
    chunk = (await reader.until_chunks(len(reader.chunks) + 1))[-1]
    assert list(chunk.header.applied_event_ids) == ["e"]
    assert chunk.header.garment == request.switch_garment.garment.garment


async def test_a_switch_on_an_ended_session_is_refused(api: Api) -> None:
    session = await api.open(max_duration=1.0)
    await stream(api, session).to_end()
    await api.free_blocks()
    request = pb.SwitchGarmentRequest(name=session, switch_garment=switch("e", await api.add_garment(9)))
    refused = await refusal(api.sessions.SwitchGarment(request))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_ENDED")
    violation = refused.details["PreconditionFailure"].violations[0]
    assert (violation.type, violation.subject) == ("SESSION_ENDED", session)


async def test_an_event_id_names_one_switch_only(api: Api) -> None:
    session = await api.open(max_duration=600.0)
    for value, code in ((1, None), (2, grpc.StatusCode.ALREADY_EXISTS)):
        request = pb.SwitchGarmentRequest(name=session, switch_garment=switch("e", await api.add_garment(value)))
        if code is None:
            await api.sessions.SwitchGarment(request)
        else:
            refused = await refusal(api.sessions.SwitchGarment(request))
            assert (refused.code, refused.reason) == (code, "EVENT_ID_REUSED")


async def test_tenants_do_not_see_each_other(engine: FakeEngine) -> None:
    async with (
        running(TWO_TENANTS, engine) as app,
        connected(app, engine, TOKENS["alice"]) as alice,
        connected(app, engine, TOKENS["bob"]) as bob,
    ):
        session, garment = await alice.open(), await alice.add_garment(1)
        assert not (await bob.sessions.ListSessions(pb.ListSessionsRequest())).sessions
        assert not (await bob.garments.ListGarments(garment_pb.ListGarmentsRequest())).garments
        for call in (
            bob.sessions.GetSession(pb.GetSessionRequest(name=session)),
            bob.sessions.DeleteSession(pb.DeleteSessionRequest(name=session)),
            bob.sessions.SwitchGarment(
                pb.SwitchGarmentRequest(name=session, switch_garment=switch("e", await bob.add_garment(2)))
            ),
            stream(bob, session).next(),
        ):
            assert (await refusal(call)).reason == "SESSION_NOT_FOUND"
        for call in (
            bob.garments.GetGarment(garment_pb.GetGarmentRequest(name=garment)),
            bob.sessions.CreateSession(create_request(garment=pb.GarmentSource(garment=garment))),
        ):
            assert (await refusal(call)).reason == "GARMENT_NOT_FOUND"
        request = create_request(request_id=new_request_id())
        theirs = [(await tenant.sessions.CreateSession(request)).session.name for tenant in (alice, bob)]
        assert len(set(theirs)) == 2, "request ids are a tenant's own"
        assert (await stream(alice, session).to_end()).reason == pb.END_REASON_COMPLETED


@pytest.mark.parametrize("settings", [replace(SETTINGS, max_sessions_per_tenant=1)])
async def test_a_tenant_has_a_quota(settings: Settings, api: Api) -> None:
    await api.open(max_duration=600.0)
    refused = await refusal(api.sessions.CreateSession(create_request()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TENANT_QUOTA")
    violation = refused.details["QuotaFailure"].violations[0]
    assert violation.subject == "tenants/default"
    assert "1 sessions" in violation.description


async def test_a_garment_waits_for_the_engine_and_the_callers_deadline_holds(api: Api, engine: FakeEngine) -> None:
    engine.crash()
    request = garment_pb.CreateGarmentRequest(picture=media_pb2.Picture(data=png(1)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.garments.CreateGarment(request, timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    waiting = asyncio.ensure_future(api.garments.CreateGarment(request))
    await until(lambda: bool(api.app.orchestrator.garments.list("default")))
    engine.recover()
    assert (await waiting).garment.state == garment_pb.GARMENT_STATE_READY


async def test_an_engine_that_is_down_opens_no_session(api: Api, engine: FakeEngine) -> None:
    engine.crash()
    refused = await refusal(api.sessions.CreateSession(create_request()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "ENGINE_DOWN")
    assert refused.details["RetryInfo"].retry_delay.ToSeconds() > 0
    engine.recover()
    await api.open()


async def test_a_create_that_was_cancelled_may_be_sent_again_and_opens_one_session(
    api: Api, engine: FakeEngine
) -> None:
    for moment in range(8):
        request = create_request(request_id=new_request_id(), max_duration=600.0)
        call = api.sessions.CreateSession(request)
        await asyncio.sleep(0.002 * moment)
        call.cancel()
        session = (await api.sessions.CreateSession(request)).session
        listed = (await api.sessions.ListSessions(pb.ListSessionsRequest())).sessions
        assert [s.name for s in listed if s.state != pb.SESSION_STATE_ENDED] == [session.name]
        await api.sessions.DeleteSession(pb.DeleteSessionRequest(name=session.name))
    await api.free_blocks()
