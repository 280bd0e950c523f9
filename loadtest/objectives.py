"""What makes a session good, and what must hold of the run."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from loadtest.measures import GROUP_FIGURES, Figure, Measure
from loadtest.model import Model
from loadtest.traffic import Name


class SessionLimits(Model):
    """A session is good only if all of these hold, and it came to its end. What a slow or abandoning reader brings on
    itself is not held against the service: of these limits only those up to the first frame concern it."""

    opened_s: float | None = Field(default=None, gt=0)
    time_to_first_frame_s: float | None = Field(default=None, gt=0)
    chunk_lateness_s: float | None = Field(default=None, ge=0, description="of its worst chunk")
    stalls: int | None = Field(default=None, ge=0)
    rebuffer_ratio: float | None = Field(default=None, ge=0, le=1)
    realtime_factor: float | None = Field(default=None, gt=0, description="at least")
    switch_acknowledged_s: float | None = Field(default=None, gt=0, description="of its slowest switch")
    switch_applied_s: float | None = Field(default=None, gt=0, description="of its slowest switch")
    switch_received_s: float | None = Field(default=None, gt=0, description="of its slowest switch")
    switch_displayed_s: float | None = Field(default=None, gt=0, description="of its slowest switch")


class DistributionObjective(Model):
    """A percentile of a measure, over the sessions of a kind and a window, or over all."""

    measure: Measure
    percentile: float = Field(ge=0, le=100)
    at_most: float | None = None
    at_least: float | None = None
    at_most_times_of_window: dict[Name, Annotated[float, Field(gt=0)]] | None = Field(
        default=None, description="a window's name and how many times its percentile this one may be"
    )
    kind: Name | None = None
    window: Name | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        limits = [self.at_most, self.at_least, self.at_most_times_of_window]
        if sum(limit is not None for limit in limits) != 1:
            raise ValueError("exactly one of at_most, at_least and at_most_times_of_window must be set")
        if self.at_most_times_of_window is not None and (len(self.at_most_times_of_window) != 1 or not self.window):
            raise ValueError("at_most_times_of_window needs `window`, and names one other window")
        return self


class FigureObjective(Model):
    """A figure of the run, or of the sessions of a kind and a window."""

    figure: Figure
    at_most: float | None = None
    at_least: float | None = None
    at_least_times_of_window: dict[Name, Annotated[float, Field(gt=0)]] | None = Field(
        default=None, description="a window's name and how many times its figure this one must be"
    )
    kind: Name | None = None
    window: Name | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        limits = [self.at_most, self.at_least, self.at_least_times_of_window]
        if sum(limit is not None for limit in limits) != 1:
            raise ValueError("exactly one of at_most, at_least and at_least_times_of_window must be set")
        if self.at_least_times_of_window is not None and (len(self.at_least_times_of_window) != 1 or not self.window):
            raise ValueError("at_least_times_of_window needs `window`, and names one other window")
        if (self.kind or self.window) and self.figure not in GROUP_FIGURES:
            raise ValueError(f"{self.figure} is of the whole run: it has no kind and no window")
        return self


class MetricObjective(Model):
    """One of the service's own metrics, summed over its labels."""

    metric: str = Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    statistic: Literal["growth", "last"] = Field(description="growth: from the first scrape to the last")
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("exactly one of at_most and at_least must be set")
        return self


def _kind_of(objective: object) -> str | None:
    """By what it judges, so that a fault is told of that kind alone."""
    kinds = {"measure": DistributionObjective, "figure": FigureObjective, "metric": MetricObjective}
    for field, model in kinds.items():
        if isinstance(objective, model) or (isinstance(objective, dict) and field in objective):
            return field
    return None


Objective = Annotated[
    Annotated[DistributionObjective, Tag("measure")]
    | Annotated[FigureObjective, Tag("figure")]
    | Annotated[MetricObjective, Tag("metric")],
    Discriminator(
        _kind_of,
        custom_error_type="objective",
        custom_error_message="an objective must name a measure, a figure or a metric",
    ),
]


def windows_of(objective: Objective) -> set[str]:
    """The windows that an objective names."""
    match objective:
        case DistributionObjective(window=window, at_most_times_of_window=other):
            return {*(other or ()), *((window,) if window else ())}
        case FigureObjective(window=window, at_least_times_of_window=other):
            return {*(other or ()), *((window,) if window else ())}
        case MetricObjective():
            return set()


class Objectives(Model):
    """What makes a session good, and what must hold of the run: its exit status."""

    session: SessionLimits = SessionLimits()
    run: list[Objective] = Field(min_length=1, max_length=100)
