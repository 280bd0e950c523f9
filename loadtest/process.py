"""The service's process as the system sees it, for a service on this machine."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from loadtest.report import Machine, ProcessState

_SHARED = Path("/dev/shm")
_ENDED = (FileNotFoundError, ProcessLookupError)
"""What /proc says of a process, a thread or a descriptor that is no more."""


def process_state(pid: int) -> ProcessState:
    """Of the process and its children, summed. A child that ends while it is looked at is left out.

    Raises:
        psutil.NoSuchProcess: the process itself is gone.
        psutil.AccessDenied: it is another user's.
    """
    root = psutil.Process(pid)
    ended = root.cpu_times()
    cpu_s, resident_bytes = ended.children_user + ended.children_system, 0
    threads, descriptors = Counter[str](), Counter[str]()
    for process in (root, *root.children(recursive=True)):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                raise psutil.ZombieProcess(process.pid)
            name, times, memory = process.name(), process.cpu_times(), process.memory_info()
            its_threads, its_descriptors = _threads(process.pid), _descriptors(process.pid)
        except (psutil.NoSuchProcess, *_ENDED):
            if process is root:
                raise psutil.NoSuchProcess(pid) from None
            continue
        except PermissionError:
            raise psutil.AccessDenied(process.pid) from None
        cpu_s += times.user + times.system
        resident_bytes += memory.rss
        threads.update(f"{name}: {thread}" for thread in its_threads)
        descriptors.update(f"{name}: {kind}" for kind in its_descriptors)
    shared_memory = dict(_shared_memory())
    return ProcessState(
        cpu_s=round(cpu_s, 3),
        resident_bytes=resident_bytes,
        descriptors=descriptors.total(),
        threads=threads.total(),
        shared_memory_bytes=sum(shared_memory.values()),
        descriptor_kinds=dict(sorted(descriptors.items())),
        thread_names=dict(sorted(threads.items())),
        shared_memory_files=dict(sorted(shared_memory.items())),
    )


def _threads(pid: int) -> list[str]:
    """Their names: the system's, of at most 15 bytes. One that has none of its own has that of who began it."""
    names = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(*_ENDED):
            names.append((task / "comm").read_text("utf-8", "replace").rstrip("\n"))
    return names


def _descriptors(pid: int) -> list[str]:
    kinds = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(*_ENDED):
            kinds.append(_kind(descriptor))
    return kinds


def _kind(descriptor: Path) -> str:
    """`socket`, `pipe`, `eventfd` and so on; for a file the folder it lies in, as names of many come and go."""
    to = str(descriptor.readlink())
    if not to.startswith("/"):  # socket:[7], anon_inode:[eventfd], anon_inode:inotify
        kind, _, name = to.partition(":")
        return name.strip("[]") if kind == "anon_inode" else kind
    if to.startswith("/memfd:"):
        return "memfd"
    return f"file in {Path(to).parent}" if descriptor.is_file() else to


def _shared_memory() -> Iterator[tuple[str, int]]:
    """Name and size of each file in /dev/shm, whoever made it."""
    for path in _SHARED.iterdir():
        with suppress(*_ENDED):
            if path.is_file():
                yield path.name, path.stat().st_size


def machine(load_before: float) -> Machine:
    return Machine(
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        platform=platform.platform(),
        load_1m=(round(load_before, 2), round(os.getloadavg()[0], 2)),
    )
