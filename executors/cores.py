"""How many cores this process may keep busy: those it may run on, and no more than its control groups' quotas allow."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores(groups: Path = _CONTROL_GROUPS, own: Path = _OWN_GROUPS) -> float:
    """A container's CPU limit is a quota, and its affinity still names every core of the machine.

    A quota may be a fraction. A share without a limit, as a pod's CPU request is, bounds nothing.
    """
    return min(float(len(os.sched_getaffinity(0))), *_quotas(groups, own))


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Of every group from ours to the root, in cores: each of them binds.

    In a container the mounted root may be our group itself and the kernel's path one that is not there.
    """
    yield math.inf
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2 has one hierarchy
            mount = groups
        elif "cpu" in controllers.split(","):
            mount = groups / "cpu"
        else:
            continue
        inner = mount / path.lstrip("/")
        for group in (inner, *inner.parents):
            if group.is_relative_to(mount):
                yield _quota(group)


def _quota(group: Path) -> float:
    """Infinite where there is none: no file, "max" (version 2), -1 (version 1)."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        cores = float(quota) / float(period)
    except (OSError, ValueError):
        return math.inf
    return cores if cores > 0 else math.inf
