"""The service as a process of its own on this machine's loopback interface: started, awaited, stopped."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 120.0
STOP_S = 30.0
_READY = re.compile(rb"^ready grpc=(\S+) metrics=(\S+)", re.MULTILINE)
_LOG_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalService:
    """`address`: of the gRPC server; `metrics`: host:port of /metrics; `pid`: of the orchestrator."""

    address: str
    metrics: str
    pid: int


@contextmanager
def local_service(workdir: Path, **variables: str) -> Iterator[LocalService]:
    """Run `python -m service` on free ports; stopped at the end, with the tritonserver that it started.

    Args:
        workdir: receives the logs.
        variables: `blocks="2"` sets CHAMELEON_BLOCKS.

    Raises:
        RuntimeError: it does not become ready; with the end of its log.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHAMELEON_")}
    settings = {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "triton_metrics_port": "0",
        "workdir": str(workdir),
        "drain_grace_s": "0",
    }
    for name, value in (settings | variables).items():
        environment[f"CHAMELEON_{name.upper()}"] = value
    log_path = workdir / "service.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        try:
            address, metrics = _await_ready(process, log_path)
            yield LocalService(address=address, metrics=metrics, pid=process.pid)
        finally:
            _stop(process)


def _await_ready(process: subprocess.Popen[bytes], log_path: Path) -> tuple[str, str]:
    assert process.stdout is not None
    deadline = time.monotonic() + START_S
    told = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            said = os.read(process.stdout.fileno(), 65536)
            told += said
            if match := _READY.search(told):
                return match[1].decode(), match[2].decode()
            if not said:
                break
    tail = log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
    raise RuntimeError(f"the service did not start; its log {log_path} ends:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        assert process.stdout is not None
        process.stdout.close()
