"""The program: `python -m service`, its ready line, and how it stops."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import customization_service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.app import running
from service.config import Settings
from service.engine.launcher import triton_engine
from service.engine.triton import TritonEngine
from tests.service.rpc.conftest import Reader, create_request

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": f"{ROOT}:{ROOT / 'proto/gen'}",
    "CHAMELEON_ENGINE": "fake",
    "CHAMELEON_LISTEN": "127.0.0.1:0",
    "CHAMELEON_METRICS_LISTEN": "127.0.0.1:0",
    "CHAMELEON_DRAIN_GRACE_S": "1",
}


@asynccontextmanager
async def program(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", *arguments, env=ENVIRONMENT | environment, stdout=PIPE, stderr=PIPE, cwd=ROOT
    )
    try:
        async with asyncio.timeout(30):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def shared_memory(engine: TritonEngine) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{engine._arena.prefix}*"))


async def ready(process: Process) -> str:
    """The gRPC address it serves on."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    word, grpc_address, metrics_address = line.split()
    assert word == "ready"
    assert metrics_address.startswith("metrics=127.0.0.1:")
    return grpc_address.removeprefix("grpc=")


async def test_a_sigterm_drains_running_streams_and_ends_with_zero() -> None:
    async with program() as process:
        address = await ready(process)
        async with grpc.aio.insecure_channel(address) as channel:
            stub = customization_service_pb2_grpc.CustomizationServiceStub(channel)
            request = create_request(max_duration=600.0, pacing=pb.PACING_MODE_REALTIME)
            reader = Reader(stub.Interact(iter([pb.InteractRequest(create=request)])))
            await reader.until_chunks(1)
            process.send_signal(signal.SIGTERM)
            await reader.until("draining")
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert (await reader.to_end()).reason == pb.END_REASON_DRAINED
        _, errors = await process.communicate()
        assert process.returncode == 0
        lines = [json.loads(line) for line in errors.splitlines()]
        assert [line["message"] for line in lines if line["logger"] == "service.app"] == ["draining", "stopped"]
        assert all(line["level"] == "info" for line in lines)


async def test_a_second_signal_stops_at_once() -> None:
    async with program(CHAMELEON_DRAIN_GRACE_S="3600") as process:
        address = await ready(process)
        async with grpc.aio.insecure_channel(address) as channel:
            stub = customization_service_pb2_grpc.CustomizationServiceStub(channel)
            request = create_request(max_duration=600.0, pacing=pb.PACING_MODE_REALTIME)
            reader = Reader(stub.Interact(iter([pb.InteractRequest(create=request)])))
            await reader.until_chunks(1)
            process.send_signal(signal.SIGINT)
            await reader.until("draining")
            process.send_signal(signal.SIGINT)
            await process.communicate()
        assert process.returncode == 1


async def test_a_wrong_environment_is_told_whole_and_nothing_starts() -> None:
    async with program(CHAMELEON_BLOCKS="0", CHAMELEON_COLOUR="red") as process:
        output, errors = await process.communicate()
        assert process.returncode == 2
        assert output == b""
        assert b"CHAMELEON_BLOCKS" in errors
        assert b"CHAMELEON_COLOUR is unknown" in errors


@pytest.mark.parametrize("variable", ["CHAMELEON_LISTEN", "CHAMELEON_METRICS_LISTEN"])
async def test_a_port_in_use_is_an_error_that_names_it(variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with program(**{variable: address}) as process:
            output, errors = await process.communicate()
            assert (process.returncode, output) == (1, b"")
            told = json.loads(errors.splitlines()[-1])
            assert told["message"].startswith("the service could not start: ")
            assert address in told["message"]


async def test_a_metrics_port_in_use_leaves_nothing_of_the_engine(tmp_path: Path) -> None:
    """Its arena is reserved before anything else can fail."""
    engine = triton_engine(repository=ROOT / "model_repository", blocks=1, url=None, workdir=tmp_path)
    assert shared_memory(engine)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(listen="127.0.0.1:0", metrics_listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(OSError, match="CHAMELEON_METRICS_LISTEN"):
            async with running(settings, engine):
                raise AssertionError("it serves")
    assert not shared_memory(engine)


async def test_a_manifest_that_cannot_be_read_is_an_error_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"version": 99}')
    async with program(CHAMELEON_ENGINE="triton", CHAMELEON_MODEL_REPOSITORY=str(tmp_path)) as process:
        output, errors = await process.communicate()
        assert (process.returncode, output) == (1, b"")
        told = json.loads(errors.splitlines()[-1])
        assert told["message"] == "the service could not start: manifest version 99 is not 1"


async def test_help_explains_the_variables() -> None:
    async with program("--help") as process:
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert b"CHAMELEON_TRITON_URL" in output
