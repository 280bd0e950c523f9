"""What a run and its worker processes tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.plan import Seat
from loadtest.record import SessionRecord
from loadtest.scenario import Patience
from loadtest.session import Supplies
from loadtest.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a worker gets at its start. `closed`: seats' later sessions are due when the one before has ended."""

    worker: int
    target: Target
    tokens: Mapping[str, str | None]
    seats: tuple[Seat, ...]
    supplies: Supplies
    patience: Patience
    closed: bool
    until_s: float
    """When sessions still open are cut short."""
    close_seats_s: float
    """In a closed loop: when no further session begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The worker has connected."""

    worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Begin: second 0 of the run, on the clock that all processes share (CLOCK_MONOTONIC)."""

    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Cut all sessions short and report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """How the worker does: sessions begun and opened so far, those under way, chunks so far, its worst lag since the
    last tick."""

    worker: int
    at_s: float
    begun: int
    open: int
    chunks: int
    lag_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session is over."""

    record: SessionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The worker has nothing more to do. `lag`: an encoded HdrHistogram of microseconds."""

    worker: int
    lag: bytes
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """The worker itself is at fault."""

    worker: int
    trace: str


Report = Ready | Tick | Ended | Done | Crashed
