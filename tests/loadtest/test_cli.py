"""The commands as they are used: against the whole service over its fake engine, and against all that can go wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.local_service import LocalService, local_service
from loadtest import target
from loadtest.record import Outcome
from loadtest.report import Exit
from loadtest.store import read_sessions
from tests.loadtest.commands import FAKE, loadtest, results, sessions_written, start, until
from tests.loadtest.conftest import PYTHON, ROOT, scenario_file
from tests.loadtest.test_compare import run as run_of


def test_the_smoke_scenario_runs_against_a_service_that_it_starts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("run", "smoke", "--serve", f"{PYTHON} -m service", "--out", out, **FAKE)
    addresses = _addresses_until_it_ends(process)
    _, said = process.communicate(timeout=240)
    assert process.returncode == Exit.HELD, said
    assert addresses, "not even the service's own were seen"
    assert all(ip_address(address).is_loopback for address in addresses), addresses
    report = results(out)
    assert report.passed
    assert report.target.startswith("127.0.0.1:")
    assert report.process is not None
    assert report.server is not None
    assert report.server.last["chameleon_session_capacity"] == 4
    assert len(read_sessions(out / "sessions.jsonl")) == report.groups[0].counts.due
    assert sum(len(record.cuts_s) for record in read_sessions(out / "sessions.jsonl")) >= 1


def test_each_kind_of_reader_and_format_comes_to_its_end(tmp_path: Path, service: LocalService) -> None:
    length_s = 6  # up to five chunks may be under way: who leaves or cuts must do so before the last
    kind: dict[str, Any] = {
        "arrivals": {"process": "trace", "at_s": [0.1]},
        "length": {"distribution": "fixed", "seconds": length_s},
        "person": str(ROOT / "demo/pictures/person.jpg"),
        "garments": [str(ROOT / "demo/pictures/garment-brown-plain.png")],
    }
    kinds = [
        {**kind, "name": "prompt", "format": "raw", "upload": "with_session"},
        {**kind, "name": "switching", "switches": {"when": "at", "seconds": [1]}},
        {**kind, "name": "slow", "reader": {"behaviour": "slow", "speed": 0.5}, "format": "jpeg"},
        {**kind, "name": "leaving", "reader": {"behaviour": "abandoning", "after_s": 1}},
        {**kind, "name": "returning", "reader": {"behaviour": "reconnecting", "every_s": 1, "away_s": 0.2}},
        {**kind, "name": "unpaced", "pacing": "unpaced"},
    ]
    path = scenario_file(tmp_path, kinds=kinds)
    out = tmp_path / "out"
    watched = ("--metrics", service.metrics, "--pid", service.pid)
    status, said = loadtest("run", path, "--target", service.address, *watched, "--out", out)
    assert status == Exit.HELD, said
    records = {record.kind: record for record in read_sessions(out / "sessions.jsonl")}
    assert {record.outcome for record in records.values()} == {Outcome.COMPLETED}
    (switch,) = records["switching"].switches
    assert switch.received_s is not None
    assert records["leaving"].freed_after_s is not None
    assert len(records["returning"].cuts_s) >= 1
    assert sum(records["returning"].chunk_duration_s) >= length_s
    assert sum(records["slow"].chunk_duration_s) < length_s
    report = results(out)
    assert report.server is not None
    assert report.process is not None
    assert report.figures["thread_growth"] is not None


def test_search_finds_the_places_that_the_service_has(tmp_path: Path) -> None:
    objectives = {"run": [{"figure": "good_ratio", "at_least": 1}]}
    lengths = {"kinds__0__length": {"distribution": "fixed", "seconds": 6}}
    path = scenario_file(tmp_path, objectives=objectives, **lengths)
    out = tmp_path / "out"
    with local_service(tmp_path / "service", engine="fake", blocks="2") as service:
        status, said = loadtest(
            "search", path, "--target", service.address, "--out", out, "--high", 4, "--repeats", 1, "--hold", 1
        )
    assert status == Exit.HELD, said
    found = json.loads((out / "search.json").read_text())
    assert 1 <= found["sessions"] <= 2
    assert found["trials"][0]["sessions"] == 1


def test_compare_tells_a_regression_by_its_exit_status(tmp_path: Path) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(run_of().model_dump_json())
    after.write_text(run_of(slower=2, seed=2).model_dump_json())
    assert loadtest("compare", before, before)[0] == Exit.HELD
    status, said = loadtest("compare", before, after)
    assert status == Exit.MISSED
    assert "time_to_first_frame_s" in said


# Bad input


def test_a_file_that_is_no_report_is_told_by_its_fields(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{}")
    status, said = loadtest("compare", path, path)
    assert status == Exit.WRONG_INPUT
    assert "scenario: Field required" in said


def test_a_scenario_with_a_wrong_field_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, kinds__0__arrivals__rate_per_s=-2)
    status, said = loadtest("run", path, "--target", "127.0.0.1:1", "--out", tmp_path / "out")
    assert status == Exit.WRONG_INPUT
    assert "kinds.0.arrivals.constant.rate_per_s" in said
    assert "greater than 0 (got -2)" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "nowhere"), "HOST:PORT"),
        ((), "exactly one of --target and --serve"),
        (("--target", "127.0.0.1:1", "--scale", "0"), "above 0"),
        (("--target", "127.0.0.1:1", "--ca", "nowhere.pem"), "--ca nowhere.pem cannot be used: No such file"),
        (("--target", "127.0.0.1:1", "--ca", "README.md"), "--ca README.md cannot be used"),
        (("--serve", "never-started", "--ca", "README.md"), "--tls and --ca are for --target"),
        (("--serve", "never-started", "--tls"), "--tls and --ca are for --target"),
        (("--target", "127.0.0.1:1", "--pid", "999999999"), "--pid 999999999 cannot be watched"),
        (("--target", "127.0.0.1:1", "--metrics", "nowhere"), "--metrics must be HOST:PORT"),
    ],
)
def test_wrong_arguments_are_told(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    for command in ("run", "search") if "--scale" not in arguments else ("run",):
        status, said = loadtest(command, scenario_file(tmp_path), "--out", tmp_path / "out", *arguments)
        assert status == Exit.WRONG_INPUT
        assert words in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["run", "search"])
def test_a_token_that_is_not_there_is_told_before_anything_runs(tmp_path: Path, command: str) -> None:
    path = scenario_file(tmp_path, tenants=[{"name": "shop", "token_env": "NOBODY_SET_THIS"}])
    status, said = loadtest(command, path, "--serve", "never-started", "--out", tmp_path / "out")
    assert status == Exit.WRONG_INPUT
    assert "NOBODY_SET_THIS (token_env)" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["run", "search"])
@pytest.mark.parametrize(
    ("objective", "option"),
    [
        ({"metric": "chameleon_event_loop_tasks", "statistic": "growth", "at_most": 0}, "--metrics"),
        ({"figure": "thread_growth", "at_most": 0}, "--pid"),
    ],
)
def test_an_objective_that_could_never_hold_is_refused(
    tmp_path: Path, command: str, objective: dict[str, Any], option: str
) -> None:
    path = scenario_file(tmp_path, objectives__run=[objective])
    status, said = loadtest(command, path, "--target", "127.0.0.1:1", "--out", tmp_path / "out")
    assert status == Exit.WRONG_INPUT
    assert "objectives.run.0 is of the service's" in said
    assert option in said


def test_metrics_that_cannot_be_read_are_told_before_anything_runs(tmp_path: Path, service: LocalService) -> None:
    """Nobody listens at the first; the second speaks gRPC."""
    for address in ("127.0.0.1:1", service.address):
        status, said = loadtest(
            "run", scenario_file(tmp_path), "--target", service.address, "--metrics", address, "--out", tmp_path / "out"
        )
        assert status == Exit.TARGET
        assert f"no metrics can be read at http://{address}/metrics (--metrics)" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("run", "smoke", "--serve", "never-started"), ("self-check",)])
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("")
    status, said = loadtest(*arguments, "--out", tmp_path / "file" / "out")
    assert status == Exit.STORAGE
    assert "file/out" in said
    assert "cannot be written: Not a directory" in said


def test_results_of_another_run_are_not_written_over(tmp_path: Path) -> None:
    status, said = loadtest("run", scenario_file(tmp_path), "--target", "127.0.0.1:1", "--out", tmp_path)
    assert status == Exit.WRONG_INPUT
    assert "--force" in said


def test_an_unreachable_target_is_told(tmp_path: Path) -> None:
    status, said = loadtest("run", scenario_file(tmp_path), "--target", "127.0.0.1:1", "--out", tmp_path / "out")
    assert status == Exit.TARGET
    assert "127.0.0.1:1 cannot be tested" in said


def test_a_service_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    status, said = loadtest(
        "run", scenario_file(tmp_path), "--serve", f"{PYTHON} -c 'raise SystemExit(\"no such luck\")'",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == Exit.TARGET
    assert "no such luck" in said


def test_a_target_that_never_answers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        status, said = loadtest("run", scenario_file(tmp_path), "--target", address, "--out", tmp_path / "out")
    assert status == Exit.TARGET
    assert f"{address} cannot be tested" in said


def test_a_server_that_hangs_half_way_spoils_its_sessions_and_the_run_ends_in_time(tmp_path: Path) -> None:
    """A stopped process: the system goes on to accept connections for it, so only the sessions can tell."""
    path = scenario_file(
        tmp_path,
        duration_s=4,
        kinds__0__length={"distribution": "fixed", "seconds": 1},
        patience={"open_s": 1, "chunk_s": 1, "drain_s": 1},
    )
    out = tmp_path / "out"
    with local_service(tmp_path / "service", engine="fake", blocks="16") as service:
        process = start("run", path, "--target", service.address, "--out", out)
        until(lambda: sessions_written(out) >= 1)
        os.kill(service.pid, signal.SIGSTOP)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            os.kill(service.pid, signal.SIGCONT)
    assert process.returncode == Exit.MISSED, said
    report = results(out)
    assert report.aborted is None
    assert report.groups[0].counts.good >= 1
    assert report.failed.keys() & {"NO_CHUNK_IN_TIME", "DEADLINE_EXCEEDED"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_stops_half_way_leaves_what_was_seen(tmp_path: Path, how: signal.Signals) -> None:
    lengths = {"kinds__0__length": {"distribution": "fixed", "seconds": 2}}
    path = scenario_file(tmp_path, duration_s=60, **lengths)
    out = tmp_path / "out"
    with local_service(tmp_path / "service", engine="fake", blocks="16") as service:
        process = start("run", path, "--target", service.address, "--out", out)
        until(lambda: sessions_written(out) >= 2)
        os.kill(service.pid, how)
        _, said = process.communicate(timeout=120)
    assert process.returncode == Exit.TARGET
    assert "has refused connections since" in said
    report = results(out)
    assert report.aborted is not None
    assert report.groups[0].counts.good >= 2
    assert report.groups[0].counts.never_begun > 0
    assert report.failed


def test_a_full_disk_is_told_and_the_report_is_written_all_the_same(tmp_path: Path, service: LocalService) -> None:
    """/dev/full takes no byte: the sessions cannot be written, the report goes where room was set aside."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "sessions.jsonl").symlink_to("/dev/full")
    status, said = loadtest(
        "run", scenario_file(tmp_path, duration_s=60), "--target", service.address, "--out", out, "--force"
    )
    assert status == Exit.STORAGE
    assert "No space left on device" in said
    report = results(out)
    assert report.groups[0].counts.due > report.groups[0].counts.never_begun


def test_a_disk_that_is_full_from_the_start_is_told(tmp_path: Path, service: LocalService) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".reserve").symlink_to("/dev/full")
    status, said = loadtest(
        "run", scenario_file(tmp_path), "--target", service.address, "--out", tmp_path / "out", "--force"
    )
    assert status == Exit.STORAGE
    assert "cannot be written" in said


def test_interrupted_it_writes_what_was_seen(tmp_path: Path, service: LocalService) -> None:
    out = tmp_path / "out"
    process = start("run", scenario_file(tmp_path, duration_s=60), "--target", service.address, "--out", out)
    until(lambda: sessions_written(out) >= 1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == Exit.INTERRUPTED
    assert results(out).aborted == "interrupted"


def test_a_worker_that_dies_makes_the_run_invalid(tmp_path: Path, service: LocalService) -> None:
    out = tmp_path / "out"
    process = start("run", scenario_file(tmp_path, duration_s=60), "--target", service.address, "--out", out)
    until(lambda: sessions_written(out) >= 1)
    worker = max(psutil.Process(process.pid).children(), key=lambda child: child.num_threads())
    worker.kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == Exit.INVALID
    assert "died" in said
    assert results(out).groups[0].counts.good >= 1


def _addresses_until_it_ends(process: subprocess.Popen[str]) -> set[str]:
    """Of all sockets, at both ends, of the process and its children."""
    seen: set[str] = set()
    while process.poll() is None:
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        for member in family:
            try:
                sockets = member.net_connections("inet")
            except psutil.Error:  # it has just ended
                continue
            seen |= {_plain(end.ip) for found in sockets for end in (found.laddr, found.raddr) if end}
        time.sleep(0.2)
    return seen


def _plain(address: str) -> str:
    """gRPC's sockets for IPv6 carry IPv4 too."""
    found = ip_address(address)
    return str(found.ipv4_mapped or found) if isinstance(found, IPv6Address) else address
