"""The service's process as the system sees it, for a service on this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from loadtest.report import Machine, ProcessState

_SHARED = Path("/dev/shm")


def process_state(pid: int) -> ProcessState:
    """Of the process and its children, summed.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    root = psutil.Process(pid)
    processes = [root, *root.children(recursive=True)]
    times = [process.cpu_times() for process in processes]
    ended = root.cpu_times()
    return ProcessState(
        cpu_s=round(sum(t.user + t.system for t in times) + ended.children_user + ended.children_system, 3),
        resident_bytes=sum(process.memory_info().rss for process in processes),
        descriptors=sum(process.num_fds() for process in processes),
        threads=sum(process.num_threads() for process in processes),
        shared_memory_bytes=sum(path.stat().st_size for path in _SHARED.iterdir() if path.is_file()),
    )


def machine(load_before: float) -> Machine:
    return Machine(
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        platform=platform.platform(),
        load_1m=(round(load_before, 2), round(os.getloadavg()[0], 2)),
    )
