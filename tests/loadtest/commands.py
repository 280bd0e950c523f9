"""The commands as they are used: in this process, or in one of their own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from loadtest.cli import app
from loadtest.report import RunReport
from loadtest.store import read_report
from tests.loadtest.conftest import PYTHON, ROOT

FAKE = {
    "CHAMELEON_ENGINE": "fake",
    "CHAMELEON_LISTEN": "127.0.0.1:0",
    "CHAMELEON_METRICS_LISTEN": "127.0.0.1:0",
    "CHAMELEON_DRAIN_GRACE_S": "0",
}


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "-m", "loadtest", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def loadtest(*arguments: object) -> tuple[int, str]:
    """In this process: exit status and what it said."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


def results(folder: Path) -> RunReport:
    report = read_report(folder / "report.json")
    assert (folder / "index.html").read_text().startswith("<!doctype html>")
    return report


def sessions_written(out: Path) -> int:
    path = out / "sessions.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline_s, "nothing came of it"
        time.sleep(0.1)
