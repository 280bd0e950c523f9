"""A real Prometheus scrapes the real service under load, and Triton, and answers every query of dashboard and rules.

The orchestrator runs as a process of its own over the fake engine; beside it a real tritonserver with the embedded
student answers a few requests, for the `nv_*` metrics.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
import yaml
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import customization_service_pb2_grpc, media_pb2

from deploy.monitoring.__main__ import HERE
from deploy.monitoring.charts import NOW, ROWS, Chart
from deploy.monitoring.rules import groups
from service.engine.launcher import triton_engine
from service.engine.triton import TritonEngine
from tests.service.rpc.conftest import Reader, create_request, png
from tests.service.test_app import ENVIRONMENT, ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_S = 150.0
BLOCKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    address: str

    async def get(self, path: str, **query: str) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        return await asyncio.to_thread(_get, url)

    async def values(self, expr: str) -> list[float]:
        """The numbers that a query gives now, NaN left out."""
        answer = await self.get("query", query=expr)
        assert answer["status"] == "success", (expr, answer)
        numbers = [float(series["value"][1]) for series in answer["data"]["result"]]
        return [number for number in numbers if not math.isnan(number)]

    async def values_once_there(self, expr: str) -> list[float]:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await self.values(expr)):  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.5)
        return found


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)


@contextmanager
def process(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(arguments, text=True, **options)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdout is not None:
            running.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[tuple[str, str]]:
    """Addresses of the API and of the metrics."""
    environment = ENVIRONMENT | {"CHAMELEON_BLOCKS": str(BLOCKS), "CHAMELEON_DRAIN_GRACE_S": "0"}
    with process(
        sys.executable, "-m", "service", env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdout is not None
        line = await asyncio.to_thread(running.stdout.readline)
        _, api, metrics = line.split()
        yield api.removeprefix("grpc="), metrics.removeprefix("metrics=")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def triton(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[TritonEngine, str]]:
    """A real engine and the address of its server's metrics."""
    port = free_port()
    engine = triton_engine(
        repository=ROOT / "model_repository",
        blocks=1,
        url=None,
        workdir=tmp_path_factory.mktemp("triton"),
        metrics_port=port,
    )
    await engine.start(lambda: None, lambda _kept: None)
    yield engine, f"127.0.0.1:{port}"
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(
    service: tuple[str, str], triton: tuple[TritonEngine, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Debian's server with our rules, once it has scraped both, under load until the tests are over."""
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{free_port()}"
    (folder / "prometheus.yml").write_text(_configuration(chameleon=service[1], triton=triton[1]))
    with process(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
    ):
        server = Prometheus(address=address)
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(_ready, address):  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.2)
        for expr in ("chameleon_engine_up", "nv_inference_count"):
            await server.values_once_there(expr)
        async with grpc.aio.insecure_channel(service[0]) as channel:
            loads = [asyncio.create_task(shoppers(channel)), asyncio.create_task(pictures(triton[0]))]
            yield server
            for load in loads:
                load.cancel()
            outcomes = await asyncio.gather(*loads, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes


def _configuration(**targets: str) -> str:
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(HERE / "rules.yaml")],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
            ],
        }
    )


def _ready(address: str) -> bool:
    """Whether a Prometheus there has loaded its data."""
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=10) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


async def shoppers(channel: grpc.aio.Channel) -> None:
    """One session in real time all along; others that switch, one after another; and one too many each time."""
    stub = customization_service_pb2_grpc.CustomizationServiceStub(channel)
    watcher = asyncio.create_task(watch(stub))
    try:
        while True:
            reader = await session(stub, max_duration=600.0)
            also = await session(stub, max_duration=600.0)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.CreateSession(create_request())
            await reader.until_chunks(1)
            other = pb.GarmentSource(picture=media_pb2.Picture(data=png(99)))
            await reader.call.write(pb.InteractRequest(switch_garment=pb.GarmentSwitch(event_id="e", garment=other)))
            await reader.until("switch_applied")
            await reader.until_chunks(len(reader.chunks) + 1)
            for open_one in (reader, also):
                await open_one.call.write(pb.InteractRequest(stop=pb.Stop()))
                await open_one.to_end()
            await stub.ListSessions(pb.ListSessionsRequest())
            assert not watcher.done()
            await asyncio.sleep(0.5)
    finally:
        watcher.cancel()


async def session(stub: customization_service_pb2_grpc.CustomizationServiceStub, **changes: Any) -> Reader:
    """Opened as soon as a block is free."""
    while True:
        call = stub.Interact()
        await call.write(pb.InteractRequest(create=create_request(**changes)))
        reader = Reader(call)
        try:
            await reader.next()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(0.1)
        else:
            return reader


async def watch(stub: customization_service_pb2_grpc.CustomizationServiceStub) -> None:
    reader = await session(stub, max_duration=3600.0, pacing=pb.PACING_MODE_REALTIME)
    await reader.to_end()


async def pictures(engine: TritonEngine) -> None:
    picture = np.zeros((engine.geometry.frame_height, engine.geometry.frame_width, 3), np.uint8)
    while True:
        await engine.encode_image(picture)
        await engine.encode_text("waves")
        await asyncio.sleep(0.5)


def charts() -> list[Chart]:
    return [chart for row in (NOW, *ROWS.values()) for chart in row]


@pytest.mark.parametrize("chart", charts(), ids=lambda chart: chart.title)
async def test_each_chart_of_the_dashboard_has_data(prometheus: Prometheus, chart: Chart) -> None:
    for query in chart.queries:
        expr = query.expr.replace("$__rate_interval", "30s").replace("$namespace", ".*").replace("$job", ".*")
        assert "$" not in expr
        if chart.gpu and not await prometheus.values("nv_gpu_utilization"):
            await prometheus.values(expr)  # it parses
        else:
            await prometheus.values_once_there(expr)


async def test_the_committed_dashboard_asks_the_queries_of_the_charts() -> None:
    board = json.loads((HERE / "dashboard.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert asked == [query.expr for chart in charts() for query in chart.queries]


async def test_each_recording_rule_has_data_and_lies_within_its_bounds(prometheus: Prometheus) -> None:
    for rule in (rule for group in groups() for rule in group["rules"] if "record" in rule):
        labels = ",".join(f'{name}="{value}"' for name, value in rule.get("labels", {}).items())
        values = await prometheus.values_once_there(f"{rule['record']}{{{labels}}}")
        assert all(value >= 0 for value in values), rule["record"]
        if "ratio" in rule["record"]:
            assert all(value <= 1 for value in values), rule["record"]


async def test_every_rule_and_alert_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    names = sorted(rule.get("record", rule.get("alert")) for group in groups() for rule in group["rules"])
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await prometheus.get("rules")
            rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
            if all(rule["health"] != "unknown" for rule in rules):
                break
            await asyncio.sleep(0.5)
    assert sorted(rule["name"] for rule in rules) == names
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


async def test_what_the_shoppers_did_is_what_prometheus_tells(prometheus: Prometheus) -> None:
    for expr in (
        'rate(chameleon_sessions_rejected_total{reason="SESSION_CAPACITY"}[1m]) > 0',
        'rate(chameleon_sessions_ended_total{reason="stopped"}[1m]) > 0',
        'rate(chameleon_switch_seconds_count{stage="sent"}[1m]) > 0',
        'chameleon_sessions{state="streaming"} > 0',
        f"chameleon_session_capacity == {BLOCKS}",
        'chameleon:objective_errors:ratio_rate5m{objective="availability"} > 0',
    ):
        await prometheus.values_once_there(expr)


async def test_promtool_finds_no_fault_in_the_running_services_metrics(
    prometheus: Prometheus, service: tuple[str, str]
) -> None:
    def metrics() -> bytes:
        with urllib.request.urlopen(f"http://{service[1]}/metrics", timeout=10) as response:
            return bytes(response.read())

    done = await asyncio.to_thread(
        lambda: subprocess.run(["promtool", "check", "metrics"], input=metrics(), capture_output=True, check=False)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
