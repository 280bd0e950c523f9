"""What happens in the running service is what its metrics tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb

from service.app import running
from service.config import Settings
from service.engine.base import EngineError
from service.engine.fake import Delays, FakeEngine
from service.telemetry import LAG_SAMPLE_S
from tests.service.rpc.conftest import SETTINGS, Api, connected, create_request, interact, refusal, stream
from tests.service.rpc.test_server import metric, scrape
from tests.service.runtime.conftest import until

LONG = {"max_duration": 600.0, "pacing": pb.PACING_MODE_REALTIME}


@asynccontextmanager
async def service(engine: FakeEngine, settings: Settings = SETTINGS) -> AsyncIterator[Api]:
    async with running(settings, engine) as app, connected(app, engine) as api:
        yield api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with service(FakeEngine(blocks=4)) as api:
        yield api


async def value(api: Api, series: str) -> float:
    """A series' value now. It must be there: labels that are known are told from the start."""
    return metric(await scrape(api), series)


async def becomes(api: Api, series: str, expected: float) -> None:
    async with asyncio.timeout(10):
        while await value(api, series) != expected:  # noqa: ASYNC110 - read as Prometheus reads
            await asyncio.sleep(0.02)


async def test_an_engine_that_goes_and_comes(api: Api) -> None:
    assert await value(api, "chameleon_engine_up") == 1
    api.engine.crash()
    assert await value(api, "chameleon_engine_up") == 0
    assert (await refusal(api.sessions.CreateSession(create_request()))).reason == "ENGINE_DOWN"
    assert await value(api, 'chameleon_sessions_rejected_total{reason="ENGINE_DOWN"}') == 1
    api.engine.recover()
    assert await value(api, "chameleon_engine_up") == 1


async def test_a_tenant_beyond_its_quota() -> None:
    async with service(FakeEngine(blocks=4), replace(SETTINGS, max_sessions_per_tenant=1)) as api:
        await api.open(**LONG)
        await refusal(api.sessions.CreateSession(create_request()))
        assert await value(api, 'chameleon_sessions_rejected_total{reason="TENANT_QUOTA"}') == 1
        assert await value(api, "chameleon_session_capacity") == 4


async def test_the_capacity_told_is_what_admission_fits_and_not_the_blocks() -> None:
    async with service(FakeEngine(blocks=4, delays=Delays(pass_s=0.1))) as api:  # 0.5 s of passes a second of video
        assert await value(api, "chameleon_session_capacity") == 4, "nothing is measured yet"
        reader = await interact(api, create_request(**LONG))
        await reader.until_chunks(2)
        await becomes(api, "chameleon_session_capacity", 1)
        assert (await refusal(api.sessions.CreateSession(create_request(**LONG)))).reason == "SESSION_CAPACITY"
        reader.call.cancel()


@pytest.mark.parametrize(
    ("reason", "how"),
    [
        ("stopped", "delete"),
        ("completed", "nothing"),
        ("abandoned", "leave"),
        ("drained", "drain"),
        ("lost", "fail"),
    ],
)
async def test_each_way_a_session_ends(api: Api, reason: str, how: str) -> None:
    long = {} if how == "nothing" else LONG
    reader = await interact(api, create_request(**long, detach_grace=0.1))
    await reader.until_chunks(1)
    match how:
        case "delete":
            name = reader.events[0].started.session.name
            await api.sessions.DeleteSession(pb.DeleteSessionRequest(name=name))
        case "nothing":
            await reader.to_end()
        case "leave":
            reader.call.cancel()
        case "drain":
            api.app.orchestrator.begin_drain(0.0)
        case "fail":
            api.engine.fail_next.append(EngineError("no"))
            with pytest.raises(grpc.aio.AioRpcError):
                await reader.to_end()
    await becomes(api, f'chameleon_sessions_ended_total{{reason="{reason}"}}', 1)
    await becomes(api, 'chameleon_cache_slots{state="free"}', 4)


async def test_a_slow_engine_misses_deadlines_and_leaves_passes_out() -> None:
    engine = FakeEngine(blocks=4, delays=Delays(pass_s=0.3))  # four passes and a clean one: 1.5 s for 1 s of video
    async with service(engine) as api:
        reader = await interact(api, create_request(**LONG))
        await reader.until_chunks(3)
        await until_more(api, "chameleon_deadline_misses_total", 0)
        await until_more(api, 'chameleon_realtime_factor_bucket{le="1.0"}', 0)
        await reader.until_chunks(6)
        levels = [chunk.header.degradation for chunk in reader.chunks]
        assert levels == sorted(levels)
        assert (levels[0], levels[-1]) == (0, 2)
        assert await value(api, "chameleon_degraded_chunks_total") >= sum(level > 0 for level in levels)
        reader.call.cancel()


async def test_without_degradation_a_chunk_is_rather_late() -> None:
    engine = FakeEngine(blocks=4, delays=Delays(pass_s=0.3))
    async with service(engine, replace(SETTINGS, degradation=0)) as api:
        reader = await interact(api, create_request(**LONG))
        await reader.until_chunks(4)
        assert {chunk.header.degradation for chunk in reader.chunks} == {0}
        reader.call.cancel()


async def test_a_paused_session_does_not_count_as_slow(api: Api) -> None:
    reader = await interact(api, create_request(**LONG))
    await reader.until_chunks(2)
    await reader.call.write(pb.InteractRequest(pause=pb.Pause()))
    await becomes(api, 'chameleon_sessions{state="paused"}', 1)
    await asyncio.sleep(2.5)  # beyond two chunks' playing time
    await reader.call.write(pb.InteractRequest(resume=pb.Resume()))
    await reader.until_chunks(len(reader.chunks) + 3)
    assert await value(api, 'chameleon_realtime_factor_bucket{le="0.5"}') == 0


async def test_chunks_that_wait_for_a_reader(api: Api) -> None:
    name = await api.open(**LONG)
    data = api.app.orchestrator._data[name.removeprefix("sessions/")]
    await until(lambda: data.log.end > 0)
    waits_s = 0.2
    await asyncio.sleep(waits_s)  # the chunk's wait is what is measured
    await stream(api, name).until_chunks(1)
    await until_more(api, "chameleon_backpressure_seconds_count", 0)
    assert await value(api, "chameleon_backpressure_seconds_sum") >= waits_s


async def test_a_loop_that_is_held_up(api: Api) -> None:
    late = 'chameleon_event_loop_lag_seconds_bucket{le="0.25"}'
    await until_more(api, "chameleon_event_loop_lag_seconds_count", 0)
    async with asyncio.timeout(10):
        while await value(api, "chameleon_event_loop_lag_seconds_count") == await value(api, late):
            time.sleep(LAG_SAMPLE_S + 0.3)  # noqa: ASYNC251 - holds the loop up on purpose
            await asyncio.sleep(0.01)


async def until_more(api: Api, series: str, than: float) -> None:
    async with asyncio.timeout(20):
        while await value(api, series) <= than:  # noqa: ASYNC110 - read as Prometheus reads
            await asyncio.sleep(0.05)
