"""From a scenario to the sessions it means: decided whole before the run, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from loadtest import arrivals
from loadtest.scenario import Scenario
from loadtest.traffic import (
    FixedLength,
    Kind,
    Length,
    LognormalLength,
    PromptReader,
    Reader,
    Switches,
    SwitchesAt,
    SwitchesAtRandom,
    SwitchesEvery,
    UniformLength,
)

SHORTEST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPlan:
    """A switch to `garment`, so many seconds behind the session's first frame."""

    at_s: float
    garment: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """One session. `due_s` counts from the run's start; in a closed loop it is when the seat's first one is due."""

    index: int
    kind: str
    due_s: float
    length_s: float
    tenant: str
    reader: Reader
    person: Path
    garment: Path
    upload: bool
    """Whether the garment's picture comes with CreateSession; otherwise the service knows it."""
    prompt: str
    format: str
    pacing: str
    seed: int
    switches: tuple[SwitchPlan, ...]


Seat = tuple[SessionPlan, ...]
"""Sessions one after the other. In an open loop each has a seat of its own."""


def open_loop(scenario: Scenario) -> list[Seat]:
    """One session a seat, ascending by `due_s`."""
    due = [
        (at_s, kind)
        for number, kind in enumerate(scenario.kinds)
        for at_s in arrivals.times(
            kind.arrivals, duration_s=scenario.duration_s, random=Random(f"{scenario.seed} arrivals {number}")
        )
    ]
    due.sort(key=lambda entry: entry[0])
    return [(_session(scenario, kind, index, due_s=at_s),) for index, (at_s, kind) in enumerate(due)]


def closed_loop(scenario: Scenario, *, sessions: int, hold_s: float, stagger_s: float) -> list[Seat]:
    """`sessions` seats that are taken for `hold_s`, kinds in turn: a session that ends is followed by the next one.

    Only for the search of capacity: a service that slows down is asked less, so its latencies are flattered.
    """
    seats, index = [], 0
    for number in range(sessions):
        kind = scenario.kinds[number % len(scenario.kinds)]
        due_s, seat = number * stagger_s, list[SessionPlan]()
        end_s = due_s + hold_s
        while due_s < end_s:
            session = _session(scenario, kind, index, due_s=due_s)
            seat.append(session)
            index += 1
            due_s += session.length_s
        seats.append(tuple(seat))
    return seats


def _session(scenario: Scenario, kind: Kind, index: int, *, due_s: float) -> SessionPlan:
    random = Random(f"{scenario.seed} session {index}")
    length_s = _length(kind.length, random)
    tenants = [tenant for tenant in scenario.tenants if kind.tenants is None or tenant.name in kind.tenants]
    tenant = random.choices(tenants, [tenant.weight for tenant in tenants])[0]
    first = random.randrange(len(kind.garments))
    worn = [kind.garments[(first + turn) % len(kind.garments)] for turn in range(len(kind.garments))]
    return SessionPlan(
        index=index,
        kind=kind.name,
        due_s=due_s,
        length_s=length_s,
        tenant=tenant.name,
        reader=kind.reader,
        person=kind.person,
        garment=worn[0],
        upload=kind.upload == "with_session",
        prompt=kind.prompt,
        format=kind.format,
        pacing=kind.pacing,
        seed=random.randrange(1, 1 << 63),
        switches=_switches(kind.switches, worn, length_s, random),
    )


def probe(scenario: Scenario, number: int) -> SessionPlan:
    """A short session that nothing is asked of: it makes the service's pools and caches before they are measured."""
    kind = scenario.kinds[number % len(scenario.kinds)].model_copy(update={"switches": None, "reader": PromptReader()})
    plan = _session(scenario, kind, number, due_s=0.0)
    return SessionPlan(
        **{name: getattr(plan, name) for name in SessionPlan.__slots__} | {"length_s": min(plan.length_s, 2.0)}
    )


def _length(length: Length, random: Random) -> float:
    match length:
        case FixedLength(seconds=seconds):
            return seconds
        case UniformLength(low_s=low_s, high_s=high_s):
            return random.uniform(low_s, high_s)
        case LognormalLength(median_s=median_s, sigma=sigma, at_most_s=at_most_s):
            return min(at_most_s, max(SHORTEST_S, median_s * random.lognormvariate(0.0, sigma)))


def _switches(switches: Switches | None, worn: list[Path], length_s: float, random: Random) -> tuple[SwitchPlan, ...]:
    """Garments in turn, as long as the session lasts."""
    match switches:
        case None:
            at = []
        case SwitchesAt(seconds=seconds):
            at = sorted(seconds)
        case SwitchesEvery(seconds=every_s):
            at = [every_s * count for count in range(1, int(length_s / every_s) + 1)]
        case SwitchesAtRandom(mean_interval_s=mean_s):
            at, next_s = [], random.expovariate(1 / mean_s)
            while next_s < length_s:
                at.append(next_s)
                next_s += random.expovariate(1 / mean_s)
    return tuple(
        SwitchPlan(at_s=at_s, garment=worn[(turn + 1) % len(worn)]) for turn, at_s in enumerate(at) if at_s < length_s
    )
