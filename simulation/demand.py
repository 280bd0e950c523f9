"""Who comes when: drawn once from the seed, so that every policy meets the same sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.scenario import Demand

_BIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One viewer: when, for how long, and when the garment is switched (seconds after it was let in)."""

    number: int
    at_s: float
    length_s: float
    switches_s: tuple[float, ...]


def concurrent(demand: Demand, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sessions that would be open at these seconds of the day, surges left out."""
    hours = at_s / 3600.0
    level = np.full_like(hours, demand.base_sessions)
    for peak in demand.peaks:
        distance = np.abs(hours % 24.0 - peak.at_h)
        distance = np.minimum(distance, 24.0 - distance)
        level += peak.sessions * np.exp(-0.5 * (distance / peak.width_h) ** 2)
    return level


def mean_length_s(demand: Demand) -> float:
    """Of a session, before `max_s` cuts the longest."""
    return float(demand.median_s * np.exp(0.5 * demand.sigma**2))


def visits(demand: Demand, *, hours: float, seed: int) -> Iterator[Visit]:
    """In order of arrival. By Little's law the rate is the wanted concurrency over the mean length."""
    rng = np.random.default_rng([seed, 1])
    starts = np.arange(0.0, hours * 3600.0, _BIN_S)
    per_bin = concurrent(demand, starts + 0.5 * _BIN_S) / mean_length_s(demand) * _BIN_S
    for surge in demand.surges:
        during = (starts >= surge.at_h * 3600.0) & (starts < surge.at_h * 3600.0 + surge.minutes * 60.0)
        per_bin = np.where(during, per_bin * surge.factor, per_bin)
    number = 0
    for start_s, count in zip(starts, rng.poisson(per_bin), strict=True):
        offsets = np.sort(rng.uniform(0.0, _BIN_S, count))
        lengths = np.minimum(rng.lognormal(np.log(demand.median_s), demand.sigma, count), demand.max_s)
        switches = rng.poisson(lengths / 60.0 * demand.switches_per_minute)
        moments = iter(rng.uniform(size=switches.sum()).tolist())
        for offset, length_s, switched in zip(offsets.tolist(), lengths.tolist(), switches.tolist(), strict=True):
            times = tuple(sorted(length_s * next(moments) for _ in range(switched)))
            yield Visit(number=number, at_s=float(start_s) + offset, length_s=length_s, switches_s=times)
            number += 1
