"""Whatever ends a search or a self-check, what it found until then is written, and the exit status says what it was."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtest import capacity, selfcheck
from loadtest.ending import FAULT
from loadtest.observed import Observed
from loadtest.report import Exit
from loadtest.setting import Setting
from loadtest.target import Target, TargetError
from tests.loadtest.commands import loadtest
from tests.loadtest.conftest import record, scenario_file
from tests.loadtest.test_summary import observed

SEARCH = ("--target", "127.0.0.1:1", "--high", 4, "--repeats", 2, "--hold", 1)
ENDS = [
    (TargetError("the target is gone"), Exit.TARGET, "the target is gone"),
    (psutil.NoSuchProcess(7), Exit.TARGET, "process no longer exists (pid=7)"),
    (OSError(errno.EMFILE, "Too many open files"), Exit.STORAGE, "[Errno 24] Too many open files"),
    (KeyboardInterrupt(), Exit.INTERRUPTED, "interrupted"),
]


def good() -> Observed:
    return observed(record(), closed=True, due=())


def runs(monkeypatch: pytest.MonkeyPatch, module: Any, *ends: Observed | BaseException) -> None:
    """Every run of the module ends as told, one after the other."""
    coming = iter(ends)

    class Scripted:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def go(self) -> Observed:
            end = next(coming)
            if isinstance(end, BaseException):
                raise end
            return end

    monkeypatch.setattr(module, "Run", Scripted)


def searched(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "search.json").read_text())
    return found


@pytest.mark.parametrize(("end", "status", "why"), ENDS)
def test_a_search_that_is_cut_short_keeps_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException, status: Exit, why: str
) -> None:
    """One session met the objectives twice, two once: the second time did not come to its end."""
    runs(monkeypatch, capacity, good(), good(), good(), end)
    out = tmp_path / "out"
    assert loadtest("search", scenario_file(tmp_path), "--out", out, *SEARCH)[0] == status
    found = searched(out)
    assert (found["sessions"], found["interval"], found["cut_short"]) == (1, [1, None], why)
    assert found["trials"] == [{"sessions": 1, "met": [True, True]}, {"sessions": 2, "met": [True]}]
    assert not (out / ".reserve").exists()


def test_a_search_that_was_interrupted_within_a_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = observed(record(), closed=True, due=(), aborted="interrupted", exit=Exit.INTERRUPTED)
    runs(monkeypatch, capacity, cut)
    status, said = loadtest("search", scenario_file(tmp_path), "--out", tmp_path / "out", *SEARCH)
    assert status == Exit.INTERRUPTED
    assert "cut short: interrupted" in said
    assert "meet the objectives" not in said, "nothing was tried to its end"


def test_a_search_on_a_disk_that_fills_up_keeps_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes no byte: the second number's runs find no room."""
    runs(monkeypatch, capacity, good(), good())
    out = tmp_path / "out"
    (out / "sessions-2-1").mkdir(parents=True)
    (out / "sessions-2-1" / ".reserve").symlink_to("/dev/full")
    status, said = loadtest("search", scenario_file(tmp_path), "--out", out, "--force", *SEARCH)
    assert status == Exit.STORAGE
    assert "sessions-2-1 cannot be written" in said
    assert (searched(out)["sessions"], len(searched(out)["trials"])) == (1, 1)


def test_a_search_whose_result_finds_no_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, capacity, *[good()] * 8)
    out = tmp_path / "out"
    out.mkdir()
    (out / "search.json.part").symlink_to("/dev/full")
    status, said = loadtest("search", scenario_file(tmp_path), "--out", out, "--force", *SEARCH)
    assert status == Exit.STORAGE
    assert "search.json cannot be written: No space left" in said


def test_a_fault_of_our_own_keeps_its_trace_and_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, capacity, good(), good(), AssertionError("not so"))
    with pytest.raises(AssertionError, match="not so"):
        loadtest("search", scenario_file(tmp_path), "--out", tmp_path / "out", *SEARCH)
    assert (searched(tmp_path / "out")["sessions"], searched(tmp_path / "out")["cut_short"]) == (1, FAULT)


@pytest.mark.parametrize(
    ("end", "status", "why"),
    [*ENDS, (observed(aborted="interrupted", exit=Exit.INTERRUPTED), Exit.INTERRUPTED, "interrupted")],
)
def test_a_self_check_that_is_cut_short_keeps_its_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Observed | BaseException, status: Exit, why: str
) -> None:
    @contextmanager
    def served(*_: Any) -> Iterator[Setting]:
        yield Setting(target=Target(address="127.0.0.1:1"))

    monkeypatch.setattr(selfcheck, "served", served)
    runs(monkeypatch, selfcheck, observed(record()), end)
    got, said = loadtest("self-check", "--out", tmp_path / "out")
    assert got == status
    assert f"cut short: {why}" in said
    found = json.loads((tmp_path / "out" / "self-check.json").read_text())
    assert (found["held"], found["cut_short"], found["lag_p99_s"]) == (False, why, None)
    assert len(found["checks"]) == 10
