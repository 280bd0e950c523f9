"""What the fleet sees of a pod, exact or coarse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from simulation.demand import Visit

EARLY_CHUNKS = 10
"""A viewer who joins others may get its second chunk late, once: that belongs to the joining, not to the time spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a viewer had. `first_frame_s` counts from the admission; None: left before it.

    `late_early` of the late chunks were among the first `EARLY_CHUNKS`. In a coarse pod `chunks` is an expectation,
    `late` and `switches_late` are drawn around theirs.
    """

    first_frame_s: float | None
    chunks: float
    late: int
    late_early: int
    switches_late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What serving pods look like to a monitoring system: sums, and means over pods, steps and chunks.

    `capacity`: sessions open and to be let in (`chameleon_session_capacity`).
    `slow`: chunks with a real-time factor below 1 (`service.runtime.tempo`: what pacing holds back is left out).
    """

    pods: int
    sessions: int
    capacity: int
    utilisation: float
    queue_s: float
    slow: float
    late: float


class Pod(Protocol):
    def open(self, visit: Visit, now: float) -> float | None:
        """Ask for a session; None if it is let in, else the seconds after which to ask again."""

    def close(self, visit: Visit, now: float) -> Outcome:
        """The viewer leaves, or is made to."""

    def engine_down(self, now: float) -> None: ...

    def engine_up(self, now: float) -> None: ...

    def serve(self, serving: bool) -> None:
        """Whether its load counts: true from readiness until its end."""


class Backend(Protocol):
    """Makes pods of one kind and sees their load."""

    def pod(self) -> Pod: ...

    def load(self, now: float) -> Load: ...
