"""The supervisor of a tritonserver, over a script in the server's place."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from service.engine.base import EngineError
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


async def restarted(server: TritonServer, dead: int) -> None:
    await until(lambda: server.pid != dead and not server.exited(), within_s=10)


async def test_a_server_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    deaths: list[int] = []
    server = supervised(tmp_path)
    await server.kill()  # nothing yet
    await server.start(lambda: deaths.append(server.pid))
    try:
        hung = server.pid
        os.kill(hung, signal.SIGSTOP)
        await server.kill()
        await restarted(server, hung)
        assert deaths == [hung]
    finally:
        await server.stop()


async def test_a_start_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = supervised(tmp_path)
    await server.start(lambda: None)
    try:
        start, failures = asyncio.create_subprocess_exec, [errno.ENOMEM, errno.EAGAIN]

        async def scarce(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
            if failures:
                raise OSError(failures.pop(), "not now")
            return await start(*arguments, **options)

        monkeypatch.setattr(asyncio, "create_subprocess_exec", scarce)
        dead = server.pid
        os.kill(dead, signal.SIGKILL)
        await restarted(server, dead)
        assert not failures
    finally:
        await server.stop()


async def test_a_work_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    server = supervised(tmp_path)
    await server.start(lambda: None)
    try:
        dead = server.pid
        shutil.rmtree(tmp_path / "work")
        os.kill(dead, signal.SIGKILL)
        await restarted(server, dead)
        assert (tmp_path / "work" / "backends" / "python" / "triton_python_backend_stub").exists()
    finally:
        await server.stop()


async def test_an_error_in_what_hears_of_a_death_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    def deaf() -> None:
        raise RuntimeError("not listening")

    server = supervised(tmp_path)
    await server.start(deaf)
    try:
        dead = server.pid
        os.kill(dead, signal.SIGKILL)
        await restarted(server, dead)
    finally:
        await server.stop()


async def test_a_server_that_never_started_stops(tmp_path: Path) -> None:
    server = supervised(tmp_path)
    await server.stop()
    assert server.exited()


def test_what_is_missing_is_said_with_a_command_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EngineError, match=r"pip install -e '\.\[triton\]'"):
        TritonInstallation.find()
