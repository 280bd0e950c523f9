"""A service started for a run: any command that says `ready grpc=HOST:PORT metrics=HOST:PORT` on standard output."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtest.setting import Setting
from loadtest.store import StoreError
from loadtest.target import Target, TargetError

START_S = 300.0
STOP_S = 60.0
_READY = re.compile(rb"^ready grpc=(\S+)(?: metrics=(\S+))?", re.MULTILINE)
_LOG_TAIL_BYTES = 2000


@contextmanager
def served(command: str, log_path: Path) -> Iterator[Setting]:
    """Run the command until the block is left, then SIGTERM it. Its standard error goes to `log_path`.

    Raises:
        TargetError: it does not become ready; with the end of its log.
        StoreError: the log cannot be written.
    """
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        opened = log_path.open("wb")
    except OSError as error:
        raise StoreError(f"{log_path} cannot be written: {error.strerror or error}") from None
    with opened as log:
        try:
            process = subprocess.Popen(
                shlex.split(command),
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the run, which stops the service when it is through
            )
        except OSError as error:
            raise TargetError(f"{command!r} cannot be started: {error}") from None
        try:
            address, metrics = _await_ready(process, command, log_path)
            yield Setting(target=Target(address=address), metrics=(metrics,) if metrics else (), pid=process.pid)
        finally:
            _stop(process)


def _await_ready(process: subprocess.Popen[bytes], command: str, log_path: Path) -> tuple[str, str]:
    assert process.stdout is not None
    deadline_s, told = time.monotonic() + START_S, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left_s := deadline_s - time.monotonic()) > 0 and selector.select(left_s):
            said = os.read(process.stdout.fileno(), 65536)
            told += said
            if found := _READY.search(told):
                return found[1].decode(), (found[2] or b"").decode()
            if not said:
                break
    tail = log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
    raise TargetError(f"{command!r} did not say that it is ready; its log {log_path} ends:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
