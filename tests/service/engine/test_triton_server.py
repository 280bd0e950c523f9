"""The supervisor of a tritonserver, over a script in the server's place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from service.engine.triton_server import TritonInstallation, TritonServer
from tests.service.runtime.conftest import until

SCRIPT = """#!/bin/sh
if [ "$1" = --help ]; then echo "Usage: tritonserver {flags}" >&2; exit 1; fi
printf '%s\\n' "$@" > {arguments}
exec sleep 600
"""


def installation(folder: Path, flags: str) -> TritonInstallation:
    """A server that knows `flags`, and writes down what it is started with."""
    root = folder / "installation"
    (root / "backends" / "python").mkdir(parents=True)
    server, stub = root / "tritonserver", root / "triton_python_backend_stub"
    server.write_text(SCRIPT.format(flags=flags, arguments=folder / "arguments"))
    server.chmod(0o755)
    stub.touch()
    return TritonInstallation(server=server, backends=root / "backends", libraries=root, stub=stub)


def supervised(folder: Path, flags: str = "") -> TritonServer:
    return TritonServer(
        folder / "repository", folder / "work", shm_prefix="none-such-", installation=installation(folder, flags)
    )


async def arguments(folder: Path) -> list[str]:
    """What the script was started with."""
    file = folder / "arguments"
    await until(lambda: file.exists() and file.read_text().endswith("\n"), within_s=10)
    return file.read_text().splitlines()


@pytest.mark.parametrize(
    ("known", "given"), [("--allow-metrics [--allow-client-shm]", True), ("--allow-metrics --allow-http", False)]
)
async def test_a_flag_that_newer_servers_need_is_given_to_those_that_know_it(
    tmp_path: Path, known: str, given: bool
) -> None:
    server = supervised(tmp_path, known)
    await server.start(lambda: None)
    try:
        assert ("--allow-client-shm=true" in await arguments(tmp_path)) is given
    finally:
        await server.stop()


async def test_it_listens_on_loopback_alone_and_serves_our_tree(tmp_path: Path) -> None:
    server = supervised(tmp_path)
    await server.start(lambda: None)
    try:
        given = await arguments(tmp_path)
    finally:
        await server.stop()
    assert {
        f"--model-repository={tmp_path / 'repository'}",
        f"--backend-directory={tmp_path / 'work' / 'backends'}",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        "--allow-http=false",
    } <= set(given)
    assert (tmp_path / "work" / "backends" / "python" / "triton_python_backend_stub").exists()


async def test_a_server_that_dies_is_told_and_started_again_and_a_stopped_one_is_not(tmp_path: Path) -> None:
    deaths = []
    server = supervised(tmp_path)
    await server.start(lambda: deaths.append(server.pid))
    await arguments(tmp_path)
    first = server.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: server.pid != first, within_s=10)
    assert deaths == [first]
    await server.stop()
    assert server.exited()
    assert deaths == [first]
