"""A pod in the fleet: its state, its place in the deployment, who is on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from simulation.demand import Visit
from simulation.pods import Pod


class PodState(Enum):
    PENDING = auto()
    STARTING = auto()
    READY = auto()
    DRAINING = auto()
    GONE = auto()


@dataclass(slots=True, eq=False)
class Stay:
    """A viewer on a pod. `asked_s`: its first request; `stalled`: the engine was away meanwhile."""

    visit: Visit
    asked_s: float
    admitted_s: float
    pod: FleetPod
    stalled: bool = False
    over: bool = False


@dataclass(slots=True, eq=False)
class FleetPod:
    number: int
    version: int
    engine: Pod
    state: PodState = PodState.PENDING
    ready_s: float = 0.0
    place: int = -1
    """Index among the ready pods, for whoever chooses one at random."""
    stays: dict[int, Stay] = field(default_factory=dict)
