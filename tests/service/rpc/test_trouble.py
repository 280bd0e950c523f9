"""Clients that vanish, stall or give up, and an engine that dies: who is touched, and that nothing leaks."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import psutil
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb

from service.app import running
from service.config import Settings
from service.core.events import EndReason
from service.engine.base import EngineError
from service.engine.fake import FAKE_GEOMETRY, Delays, FakeEngine
from tests.service.rpc.conftest import (
    SETTINGS,
    Api,
    Reader,
    connected,
    create_request,
    interact,
    refusal,
    stream,
    switch,
)
from tests.service.runtime.conftest import until

ROOT = Path(__file__).parents[3]
SLOW = Delays(encode_s=0.01, pass_s=0.004, decode_s=0.01)

VICTIM = """
import sys, grpc
from fashionchameleon.v1 import customization_service_pb2 as pb, customization_service_pb2_grpc as rpc
request = pb.CreateSessionRequest.FromString(sys.stdin.buffer.read())
stub = rpc.CustomizationServiceStub(grpc.insecure_channel(sys.argv[1]))
def actions():
    yield pb.InteractRequest(create=request)
    import threading; threading.Event().wait()
for response in stub.Interact(actions()):
    if response.event.HasField("media_part"):
        print("streaming", flush=True)
"""


@pytest.fixture(autouse=True)
def no_incident(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No trouble here is a fault of ours: nothing is logged as one."""
    yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_client_process_that_is_killed_gives_its_block_back(api: Api) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto/gen'}"}
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, api.app.grpc_address, stdin=-1, stdout=-1, env=environment
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    try:
        victim.stdin.write(create_request(max_duration=600.0).SerializeToString())
        victim.stdin.close()
        async with asyncio.timeout(20):
            assert await victim.stdout.readline() == b"streaming\n"
    finally:
        victim.send_signal(signal.SIGKILL)
        await victim.communicate()
    await api.free_blocks(within_s=2.0)


@pytest.mark.parametrize("moment", range(10))
async def test_a_call_that_is_cancelled_at_any_moment_gives_its_block_back(
    api: Api, engine: FakeEngine, moment: int
) -> None:
    engine._delays = SLOW
    reader = await interact(api, create_request(max_duration=600.0, detach_grace=0.1))
    if moment < 5:
        await asyncio.sleep(0.004 * moment)
    else:
        await reader.until_chunks(moment - 4)
        await reader.call.write(pb.InteractRequest(switch_garment=switch("e", await api.add_garment(moment))))
        await asyncio.sleep(0.004 * (moment - 5))
    reader.call.cancel()
    await until(lambda: reader.call.done())
    await api.free_blocks(within_s=2.0)
    assert all(engine.is_clear(block) for block in range(4))


@pytest.mark.parametrize("deadline_s", [0.005, 0.02, 0.06, 0.15])
async def test_a_deadline_at_any_step_is_honoured(api: Api, engine: FakeEngine, deadline_s: float) -> None:
    engine._delays = SLOW
    request = create_request(max_duration=600.0, detach_grace=0.0)
    reader = Reader(api.sessions.Interact(iter([pb.InteractRequest(create=request)]), timeout=deadline_s))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await reader.to_end()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await api.free_blocks(within_s=2.0)


async def test_a_stream_lost_by_its_deadline_may_be_resumed_within_the_grace(api: Api) -> None:
    session = await api.open(max_duration=30.0, detach_grace=30.0)
    call = api.sessions.StreamVideo(pb.StreamVideoRequest(name=session), timeout=0.5)
    await Reader(call).until_chunks(1)
    call.cancel()
    assert (await stream(api, session).to_end()).reason == pb.END_REASON_COMPLETED


async def test_a_client_that_stops_reading_stalls_only_itself() -> None:
    engine = FakeEngine(geometry=replace(FAKE_GEOMETRY, latent_height=20, latent_width=20))  # 3.7 MB a chunk
    async with running(SETTINGS, engine) as app, connected(app, engine) as api:
        stalled = await interact(api, create_request(max_duration=3000.0))
        await stalled.until_chunks(1)
        name = pb.GetSessionRequest(name=stalled.events[0].started.session.name)

        async def generated_s() -> int:
            return (await api.sessions.GetSession(name)).session.generated.ToSeconds()

        async def others(count: int) -> None:
            for _ in range(count):
                other = stream(api, await api.open(max_duration=3.0))
                assert (await other.to_end()).reason == pb.END_REASON_COMPLETED

        await others(4)
        memory = psutil.Process().memory_info().rss
        await others(4)
        # It was asked for 3000 s; what is made beyond its credits lies in the transport's buffers, a few chunks.
        stalled_s = await generated_s()
        assert stalled_s <= 10
        assert psutil.Process().memory_info().rss - memory < 64 << 20
        await stalled.until_chunks(stalled_s + 5)  # it reads again, and goes on
        stalled.call.cancel()


async def test_an_engine_that_dies_and_comes_back_breaks_no_stream(api: Api, engine: FakeEngine) -> None:
    engine._delays = SLOW
    readers = [await interact(api, create_request(max_duration=6.0)) for _ in range(2)]
    for reader in readers:
        await reader.until_chunks(2)
    engine.crash()
    refused = await refusal(api.sessions.CreateSession(create_request()))
    assert refused.reason == "ENGINE_DOWN"
    engine.recover()
    for reader in readers:
        assert (await reader.to_end()).reason == pb.END_REASON_COMPLETED
        assert await reader.call.code() is grpc.StatusCode.OK
    assert [c.media for c in readers[0].chunks] == [c.media for c in readers[1].chunks]


@pytest.mark.parametrize("settings", [replace(SETTINGS, engine_grace_s=0.1)])
async def test_an_engine_that_stays_away_ends_the_streams_with_the_reason(
    settings: Settings, api: Api, engine: FakeEngine
) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(2)
    engine.crash()
    refused = await refusal(reader.to_end())
    ended = reader.events[-1].ended
    assert ended.reason == pb.END_REASON_LOST
    assert "ENGINE_DOWN: the engine did not come back within 0.1 s" in ended.message
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "SESSION_LOST")
    engine.recover()
    await api.free_blocks()


async def test_an_engine_that_forgot_ends_the_session_and_serves_new_ones(api: Api, engine: FakeEngine) -> None:
    reader = await interact(api, create_request(max_duration=600.0))
    await reader.until_chunks(2)
    engine.crash()
    engine.recover(kept=False)
    assert (await refusal(reader.to_end())).reason == "SESSION_LOST"
    assert (await stream(api, await api.open()).to_end()).reason == pb.END_REASON_COMPLETED


async def test_an_engine_that_refuses_a_step_ends_that_session_alone(api: Api, engine: FakeEngine) -> None:
    healthy = stream(api, await api.open(max_duration=20.0))
    await healthy.until_chunks(2)
    engine.fail_next.append(EngineError("out of numbers"))
    victim = stream(api, await api.open(max_duration=20.0))
    ends = await asyncio.gather(victim.to_end(), healthy.to_end(), return_exceptions=True)
    lost = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
    assert [error.code() for error in lost] == [grpc.StatusCode.ABORTED]
    assert "out of numbers" in (lost[0].details() or "")
    await api.free_blocks()


async def test_a_session_nobody_reads_any_more_is_abandoned(api: Api) -> None:
    session = await api.open(max_duration=600.0, detach_grace=0.0)
    reader = stream(api, session)
    await reader.until_chunks(1)
    reader.call.cancel()
    await api.free_blocks()
    view = api.app.orchestrator.get_session("default", session.removeprefix("sessions/"))
    assert view.end_reason is EndReason.ABANDONED
    refused = await refusal(stream(api, session).next())
    assert refused.reason == "SESSION_ENDED"
