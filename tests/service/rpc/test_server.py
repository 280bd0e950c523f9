"""Around the services: health, reflection, authentication, limits, draining, faults of ours, metrics."""

import asyncio
import hashlib
import urllib.request
from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.app import running
from service.config import Settings
from service.engine.fake import FakeEngine
from service.rpc.health import LIVENESS
from service.rpc.server import SERVICES
from tests.service.rpc.conftest import SETTINGS, Api, connected, create_request, interact, refusal, stream, switch

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def health(api: Api, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(api.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def turns(api: Api, status: int) -> None:
    """Return once every service's health has this status."""
    stub = health_pb2_grpc.HealthStub(api.channel)
    for service in ("", *SERVICES):
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=service))
        async with asyncio.timeout(5):
            while (await watch.read()).status != status:
                pass
        watch.cancel()


async def scrape(api: Api) -> str:
    def get() -> bytes:
        with urllib.request.urlopen(f"http://{api.app.metrics_address}/metrics", timeout=5) as response:
            return response.read()

    return (await asyncio.to_thread(get)).decode()


def metric(text: str, sample: str) -> float:
    (value,) = [line.removeprefix(f"{sample} ") for line in text.splitlines() if line.startswith(f"{sample} ")]
    return float(value)


async def test_health_is_told_by_service_name_and_follows_the_engine(api: Api, engine: FakeEngine) -> None:
    assert [await health(api, name) for name in ("", *SERVICES)] == [SERVING] * 3
    engine.crash()
    await turns(api, NOT_SERVING)
    assert await health(api, LIVENESS) == SERVING
    engine.recover()
    await turns(api, SERVING)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health(api, "no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(api: Api) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(api.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answer = await call.read()
    names = {service.name for service in answer.list_services_response.service}
    assert names >= {*SERVICES, "grpc.health.v1.Health"}


TOKEN_SETTINGS = replace(SETTINGS, tokens={hashlib.sha256(b"sesame").digest(): "alice"})


@pytest.mark.parametrize("settings", [TOKEN_SETTINGS])
async def test_calls_need_a_token_and_health_checks_none(settings: Settings, api: Api, engine: FakeEngine) -> None:
    assert await health(api) == SERVING
    for value in (None, "", "sesame", "Basic sesame", "Bearer", "Bearer ", "Bearer sesam"):
        metadata = () if value is None else (("authorization", value),)
        calls: list[Callable[[], object]] = [
            lambda metadata=metadata: api.sessions.ListSessions(pb.ListSessionsRequest(), metadata=metadata),
            lambda metadata=metadata: api.sessions.Interact(metadata=metadata).read(),
        ]
        for call in calls:
            refused = await refusal(call())
            assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    async with connected(api.app, engine, "sesame") as alice:
        await alice.open()
        assert api.app.orchestrator.list_sessions("alice")


@pytest.mark.parametrize("settings", [replace(SETTINGS, max_concurrent_rpcs=2)])
async def test_calls_beyond_the_limit_are_refused_and_health_checks_are_not(settings: Settings, api: Api) -> None:
    readers = [await interact(api, create_request(max_duration=600.0)) for _ in range(2)]
    for reader in readers:
        await reader.next()
    refused = await refusal(api.sessions.ListSessions(pb.ListSessionsRequest()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RPC_LIMIT")
    assert refused.details["RetryInfo"].retry_delay.ToSeconds() == 1
    assert "2 calls" in refused.message
    assert await health(api) == SERVING
    readers[0].call.cancel()
    await api.free_blocks(3)
    await api.sessions.ListSessions(pb.ListSessionsRequest())


async def test_draining_serves_what_runs_and_opens_nothing_new(api: Api) -> None:
    reader = await interact(api, create_request(max_duration=3600.0))
    await reader.until_chunks(1)
    name, garment = reader.events[0].started.session.name, await api.add_garment(9)
    draining = asyncio.ensure_future(api.app.drain(3.0))
    assert (await reader.until("draining")).grace.ToMilliseconds() == 3000
    await turns(api, NOT_SERVING)
    refused = await refusal(api.sessions.CreateSession(create_request()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert "RetryInfo" in refused.details
    await api.sessions.SwitchGarment(pb.SwitchGarmentRequest(name=name, switch_garment=switch("e", garment)))
    assert (await reader.to_end()).reason == pb.END_REASON_DRAINED
    async with asyncio.timeout(5):
        await draining


async def test_leaving_the_service_ends_its_streams_in_order(engine: FakeEngine) -> None:
    async with running(SETTINGS, engine) as app:
        leaving = connected(app, engine)
        api = await leaving.__aenter__()
        reader = await interact(api, create_request(max_duration=600.0))
        await reader.until_chunks(1)
        reading = asyncio.ensure_future(reader.to_end())
        await app.drain(0.1)
    assert (await reading).reason == pb.END_REASON_DRAINED
    assert await reader.call.code() is grpc.StatusCode.OK
    await leaving.__aexit__()


async def test_a_fault_of_ours_tells_the_caller_only_where_to_look(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(tenant: str) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(api.app.orchestrator, "list_sessions", broken)
    refused = await refusal(api.sessions.ListSessions(pb.ListSessionsRequest()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in refused.message
    incident = refused.details["ErrorInfo"].metadata["incident"]
    assert incident in caplog.text
    assert "secret of the house" in caplog.text


async def test_logs_hold_neither_prompts_nor_tokens(
    api: Api, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "service")
    await stream(api, await api.open(prompt="a most private prompt")).to_end()
    assert caplog.records
    assert "private" not in caplog.text


async def test_a_message_beyond_the_limit_is_refused(api: Api) -> None:
    request = create_request(prompt="x" * (17 << 20))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.sessions.CreateSession(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metrics_tell_what_happened(api: Api) -> None:
    reader = await interact(api, create_request(max_duration=3600.0))
    await reader.until_chunks(2)
    await reader.call.write(pb.InteractRequest(switch_garment=switch("e", await api.add_garment(9))))
    await reader.until("switch_applied")
    await reader.until_chunks(len(reader.chunks) + 2)
    await refusal(api.sessions.GetSession(pb.GetSessionRequest(name="x")))
    for _ in range(100):  # sessions are counted ten times a second
        if 'chameleon_sessions{state="streaming"} 1.0' in (metrics := await scrape(api)):
            break
        await asyncio.sleep(0.05)
    for line in (
        "chameleon_engine_up 1.0",
        "chameleon_session_capacity 4.0",
        'chameleon_sessions{state="streaming"} 1.0',
        'chameleon_cache_slots{state="leased"} 1.0',
        "chameleon_time_to_first_frame_seconds_count 1.0",
        'chameleon_switch_seconds_count{stage="accepted"} 1.0',
        'chameleon_switch_seconds_count{stage="applied"} 1.0',
        'chameleon_switch_seconds_count{stage="sent"} 1.0',
        "chameleon_deadline_misses_total 0.0",
        "chameleon_degraded_chunks_total 0.0",
        f'chameleon_rpcs_total{{code="INVALID_ARGUMENT",method="/{SERVICES[0]}/GetSession"}} 1.0',
    ):
        assert line in metrics.splitlines(), line
    for stage in ("queue", "text", "encode", "prefill", "denoise", "commit", "decode", "media", "send"):
        assert metric(metrics, f'chameleon_stage_seconds_count{{stage="{stage}"}}') >= 1, stage
    for counted in ("chunk_seconds", "realtime_factor", "backpressure_seconds"):
        assert metric(metrics, f"chameleon_{counted}_count") >= 1, counted
    assert 'chameleon_event_loop_lag_seconds_bucket{le="0.05"}' in metrics
    assert reader.events[0].started.session.name.removeprefix("sessions/") not in metrics


async def test_refused_sessions_are_counted_by_reason(api: Api) -> None:
    for _ in range(4):
        await api.open(max_duration=600.0)
    for _ in range(2):
        await refusal(api.sessions.CreateSession(create_request()))
    assert metric(await scrape(api), 'chameleon_sessions_rejected_total{reason="SESSION_CAPACITY"}') == 2
