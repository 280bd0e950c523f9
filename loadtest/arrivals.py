"""When sessions are due, in an open loop: decided before the run, whatever the service does. Pure and seeded."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loadtest.model import Model

LATEST_S = 86_400.0
MOST_TRACED = 1_000_000
Rate = Annotated[float, Field(gt=0, le=10_000)]
Time = Annotated[float, Field(ge=0, le=LATEST_S)]


class _Window(Model):
    start_s: Time = 0.0
    end_s: Time | None = Field(default=None, description="the scenario's duration_s if left out")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s must be above start_s ({self.start_s:g}), got {self.end_s:g}")
        return self


class PoissonArrivals(_Window):
    """Independent of each other, as visitors are."""

    process: Literal["poisson"]
    rate_per_s: Rate


class ConstantArrivals(_Window):
    """One after the other, evenly."""

    process: Literal["constant"]
    rate_per_s: Rate


class RampArrivals(_Window):
    """Evenly, at a rate that changes steadily from the one to the other."""

    process: Literal["ramp"]
    from_per_s: float = Field(ge=0, le=10_000)
    to_per_s: float = Field(ge=0, le=10_000)

    @model_validator(mode="after")
    def _not_both_zero(self) -> Self:
        if self.from_per_s == self.to_per_s == 0:
            raise ValueError("from_per_s and to_per_s must not both be 0")
        return self


class TraceArrivals(_Window):
    """At the times that were seen once: listed here, or in a file that is read with the scenario."""

    process: Literal["trace"]
    at_s: list[Time] = Field(default=[], max_length=MOST_TRACED)
    file: Path | None = Field(
        default=None, description="CSV, relative to the scenario's file; its first column holds what at_s would"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.at_s) == (self.file is not None):
            raise ValueError("exactly one of at_s and file must be given, and at_s not empty")
        return self


Arrivals = Annotated[PoissonArrivals | ConstantArrivals | RampArrivals | TraceArrivals, Field(discriminator="process")]


def scaled(arrivals: Arrivals, factor: float) -> Arrivals:
    """As many times the arrivals in the same time; a trace keeps its times and is repeated whole.

    Raises:
        ValueError: a trace and a factor that is no whole number.
    """
    match arrivals:
        case PoissonArrivals() | ConstantArrivals():
            return arrivals.model_copy(update={"rate_per_s": factor * arrivals.rate_per_s})
        case RampArrivals():
            rates = {"from_per_s": factor * arrivals.from_per_s, "to_per_s": factor * arrivals.to_per_s}
            return arrivals.model_copy(update=rates)
        case TraceArrivals():
            if factor != int(factor):
                raise ValueError(f"a trace can be scaled by whole numbers only, got {factor:g}")
            return arrivals.model_copy(update={"at_s": arrivals.at_s * int(factor)})


def times(arrivals: Arrivals, *, duration_s: float, random: Random) -> list[float]:
    """Ascending seconds from the run's start, within the window and before `duration_s`."""
    start_s, end_s = arrivals.start_s, min(duration_s, arrivals.end_s or duration_s)
    length_s = max(0.0, end_s - start_s)
    match arrivals:
        case PoissonArrivals(rate_per_s=rate):
            found = _poisson(rate, length_s, random)
        case ConstantArrivals(rate_per_s=rate):
            found = _ramp(rate, rate, length_s)
        case RampArrivals(from_per_s=first, to_per_s=last):
            found = _ramp(first, last, length_s)
        case TraceArrivals(at_s=at_s):
            return [at for at in sorted(at_s) if start_s <= at < end_s]
    return [start_s + at for at in found]


def _poisson(rate: float, length_s: float, random: Random) -> list[float]:
    found: list[float] = []
    at = random.expovariate(rate)
    while at < length_s:
        found.append(at)
        at += random.expovariate(rate)
    return found


def _ramp(first: float, last: float, length_s: float) -> list[float]:
    """The times at which `first*t + (last-first)*t**2 / (2*length)`, the arrivals expected by t, is 0, 1, 2, ..."""
    if length_s == 0:
        return []
    total = (first + last) / 2 * length_s
    slope = (last - first) / length_s
    found = []
    for count in range(math.ceil(total - 1e-9)):
        if abs(slope) < 1e-12:
            at = count / first
        else:
            at = (math.sqrt(max(0.0, first * first + 2 * slope * count)) - first) / slope
        found.append(min(max(0.0, at), length_s))  # rounding may lead a hair's breadth outside
    return found
