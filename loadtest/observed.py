"""All that one run saw, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from loadtest.histogram import Values
from loadtest.record import SessionRecord
from loadtest.report import Exit, Machine, ProcessState, ServerMetrics
from loadtest.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a worker took of the machine."""

    worker: int
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """`due`: when every session was meant to begin, and its kind; empty in a closed loop, which plans none.
    `exit`: set if the run did not go to its end."""

    scenario: Scenario
    target: str
    closed: bool
    started: datetime
    wall_s: float
    due: tuple[tuple[float, str], ...]
    records: tuple[SessionRecord, ...]
    lags: tuple[Values, ...]
    loads: tuple[Load, ...]
    worker_faults: tuple[str, ...]
    aborted: str | None
    exit: Exit | None
    server: ServerMetrics | None
    process: tuple[ProcessState, ProcessState] | None
    machine: Machine
