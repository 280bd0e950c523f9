"""How long a client that does nothing keeps its place: a call's, a session's."""

import logging
from dataclasses import replace

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb

from service.app import running
from service.config import Settings
from service.engine.fake import FAKE_GEOMETRY, FakeEngine
from service.rpc.server import SERVICES
from tests.service.rpc.conftest import (
    SETTINGS,
    Api,
    Reader,
    connected,
    create_request,
    interact,
    refusal,
    taken_apart,
)
from tests.service.rpc.test_server import metric, scrape


async def served(api: Api) -> None:
    """Return once a call is let in again."""

    async def reason() -> str | None:
        try:
            await api.sessions.ListSessions(pb.ListSessionsRequest())
        except grpc.aio.AioRpcError as error:
            return taken_apart(error).reason
        return None

    while (refused := await reason()) is not None:
        assert refused == "RPC_LIMIT"


@pytest.mark.parametrize("settings", [replace(SETTINGS, first_message_timeout_s=0.2, max_concurrent_rpcs=2)])
async def test_a_stream_that_says_nothing_gives_its_place_back(settings: Settings, api: Api) -> None:
    silent = [Reader(api.sessions.Interact()) for _ in range(2)]
    for reader in silent:
        refused = await refusal(reader.next())
        assert (refused.code, refused.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "FIRST_ACTION_TIMEOUT")
        assert "within 0.2 s" in refused.message
    await served(api)
    assert await (await interact(api, create_request())).next()


@pytest.mark.parametrize("settings", [replace(SETTINGS, idle_timeout_s=0.3)])
async def test_a_session_that_stays_paused_is_ended_with_the_reason(settings: Settings, api: Api) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(1)
    await reader.call.write(pb.InteractRequest(pause=pb.Pause()))
    ended = await reader.to_end()
    assert ended.reason == pb.END_REASON_ABANDONED
    assert "for 0.3 s it was paused" in ended.message
    assert await reader.call.code() is grpc.StatusCode.OK
    await api.free_blocks()


@pytest.mark.parametrize("settings", [replace(SETTINGS, idle_timeout_s=0.3)])
async def test_a_session_that_is_granted_nothing_more_is_ended(settings: Settings, api: Api) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.call.write(pb.InteractRequest(credits=pb.PlayoutCredits(chunks=1)))
    assert (await reader.to_end()).reason == pb.END_REASON_ABANDONED


async def test_a_stream_that_is_not_read_gives_back_block_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """Its client is alive and reads nothing: the status waits behind what was written, the service does not."""
    engine = FakeEngine(blocks=4, geometry=replace(FAKE_GEOMETRY, latent_height=20, latent_width=20))  # 3.7 MB a chunk
    settings = replace(SETTINGS, idle_timeout_s=0.3, max_concurrent_rpcs=1)
    async with running(settings, engine) as app, connected(app, engine) as api:
        stalled = await interact(api, create_request(max_duration=3000.0))
        await stalled.until_chunks(1)
        await api.free_blocks(within_s=10.0)
        await served(api)
        told = await scrape(api)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stalled.to_end()
        assert (caught.value.code(), taken_apart(caught.value).reason) == (grpc.StatusCode.ABORTED, "STREAM_UNREAD")
        assert metric(told, f'chameleon_rpcs_total{{code="ABORTED",method="/{SERVICES[0]}/Interact"}}') == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], "no fault of ours"
