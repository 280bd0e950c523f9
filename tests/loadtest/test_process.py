"""What a service's process holds is kept by name, so that what it has more of in the end can be told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from loadtest import process
from loadtest.grown import Grown, grown
from loadtest.measures import Figure
from loadtest.page import render
from loadtest.process import process_state
from loadtest.report import ProcessState
from loadtest.summary import summarise
from loadtest.tell import tell
from tests.loadtest.conftest import PYTHON, record
from tests.loadtest.test_summary import observed

_GROWS = """
import ctypes, os, select, socket, sys, tempfile, threading, time

def named():
    ctypes.CDLL(None).prctl(15, b"grown-thread", 0, 0, 0)  # PR_SET_NAME
    print("grown", flush=True)
    threading.Event().wait()

print("ready", flush=True)
sys.stdin.readline()
held = [socket.socketpair(), os.pipe(), select.epoll(), open(os.devnull), os.memfd_create("x")]
held += [open(os.path.join(sys.argv[1], name), "w") for name in ("one", "two")]
with open(sys.argv[2], "r+b") as shared:
    shared.truncate(4096)
threading.Thread(target=named, daemon=True).start()
sys.stdin.readline()
"""
_PARENT = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', *sys.argv[1:]]))"
"""The one that grows is a child, as tritonserver is."""


@contextmanager
def growing(folder: Path) -> Iterator[tuple[int, Callable[[], None], Path]]:
    """A process, what makes its child grow, and the file in /dev/shm that then does."""
    shared = Path("/dev/shm") / f"loadtest-{os.getpid()}"
    shared.write_bytes(b"x" * 100)
    command = [PYTHON, "-c", _PARENT, _GROWS, str(folder), str(shared)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    tell, heard = child.stdin, child.stdout

    def grow() -> None:
        tell.write("\n")
        tell.flush()
        assert heard.readline() == "grown\n"

    try:
        assert heard.readline() == "ready\n"
        yield child.pid, grow, shared
    finally:
        with suppress(BrokenPipeError):
            tell.close()  # both end
        child.wait(30)
        heard.close()
        shared.unlink()


def test_what_there_is_more_of_is_named_on_terminal_and_page(tmp_path: Path) -> None:
    with growing(tmp_path) as (pid, grow, shared):
        before = process_state(pid)
        grow()
        after = process_state(pid)
    name = Path(PYTHON).name
    found = {(more.what, more.name): more.after - more.before for more in grown((before, after))}
    ours = {key: value for key, value in found.items() if key[0] != "bytes in /dev/shm" or key[1] == shared.name}
    assert ours == {
        ("threads", f"{name}: grown-thread"): 1,
        ("descriptors", f"{name}: socket"): 2,
        ("descriptors", f"{name}: pipe"): 2,
        ("descriptors", f"{name}: eventpoll"): 1,
        ("descriptors", f"{name}: memfd"): 1,
        ("descriptors", f"{name}: /dev/null"): 1,
        ("descriptors", f"{name}: file in {tmp_path}"): 2,
        ("bytes in /dev/shm", shared.name): 3996,
    }
    assert (after.threads, after.descriptors) == (before.threads + 1, before.descriptors + 9)
    assert after.shared_memory_files[shared.name] == 4096
    report, judged = summarise(observed(record(), process=(before, after)))
    assert report.figures[Figure.DESCRIPTOR_GROWTH] == 9
    said = StringIO()
    tell(report, Console(file=said))
    for text in (said.getvalue(), render(report, judged)):
        assert f"{name}: grown-thread" in text
        assert shared.name in text
    assert f"more bytes in /dev/shm than before: {shared.name}, 4096 in place of 100" in said.getvalue()


def test_what_became_less_is_not_told_and_reports_without_names_tell_nothing() -> None:
    def state(**threads: int) -> ProcessState:
        return ProcessState(
            cpu_s=0, resident_bytes=0, descriptors=0, threads=0, shared_memory_bytes=0, thread_names=threads
        )

    assert grown((state(a=2, b=1), state(b=2, c=1))) == [
        Grown(what="threads", name="b", before=1, after=2),
        Grown(what="threads", name="c", before=0, after=1),
    ]
    assert grown((state(), state())) == []


@pytest.mark.parametrize("reaped", [False, True])
def test_a_process_that_has_ended_is_gone_whether_or_not_it_was_waited_for(reaped: bool) -> None:
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    if reaped:
        ended.wait()
    with pytest.raises(psutil.NoSuchProcess):
        process_state(ended.pid)
    ended.wait()


def test_a_file_that_vanishes_while_it_is_looked_at_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/shm is the whole machine's: its files come and go."""

    class Vanishing(type(tmp_path)):  # type: ignore[misc]  # Path's own class differs by system
        def is_file(self) -> bool:
            found: bool = super().is_file()
            if self.name == "gone":
                self.unlink()
            return found

    for name in ("gone", "here"):
        (tmp_path / name).write_bytes(b"x" * 3)
    monkeypatch.setattr(process, "_SHARED", Vanishing(tmp_path))
    assert process_state(os.getpid()).shared_memory_files == {"here": 3}


def test_a_child_that_ends_while_it_is_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "60"])
    look = process._threads

    def late(pid: int) -> list[str]:
        if pid == child.pid:
            child.kill()
            child.wait()
        return look(pid)

    monkeypatch.setattr(process, "_threads", late)
    names = process_state(os.getpid()).thread_names
    assert names
    assert not any(name.startswith("sleep") for name in names)
