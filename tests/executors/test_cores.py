"""Cores: a container's quota counts, in both versions of control groups and at any height."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executors.cores import usable_cores
from executors.onnx_session import default_threads

ALL = 64


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(ALL)))


def cores(folder: Path, own: str, files: dict[str, str]) -> float:
    groups = folder / "cgroup"
    groups.mkdir()
    for name, content in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(content)
    (folder / "own").write_text(own)
    return usable_cores(groups, folder / "own")


V1 = "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, ALL),
        ("0::/\n", {}, ALL),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, ALL),
        # The kernel's own path, from outside the container's name space: what binds may lie above.
        ("0::/pods/a\n", {"pods/cpu.max": "200000 100000\n", "pods/a/cpu.max": "400000 100000\n"}, 2),
        ("0::/pods/a\n", {"cpu.max": "300000 100000\n"}, 3),
        (V1, {"cpu/docker/ab/cpu.cfs_quota_us": "200000\n", "cpu/docker/ab/cpu.cfs_period_us": "100000\n"}, 2),
        (V1, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, ALL),
        ("", {"cpu.max": "100000 100000\n"}, ALL),
    ],
)
def test_the_tightest_quota_counts(tmp_path: Path, own: str, files: dict[str, str], expected: float) -> None:
    assert cores(tmp_path, own, files) == expected


def test_without_control_groups_every_core_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none", tmp_path / "none") == ALL


@pytest.mark.parametrize(("usable", "threads"), [(0.5, 1), (1.0, 1), (3.9, 1), (4.0, 2), (64.0, 32)])
def test_a_model_instance_takes_half_of_them(monkeypatch: pytest.MonkeyPatch, usable: float, threads: int) -> None:
    monkeypatch.setattr("executors.onnx_session.usable_cores", lambda: usable)
    assert default_threads() == threads
