"""Two runs of one scenario: what became worse beyond chance and beyond a tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loadtest.measures import GROUP_FIGURES, Figure, Measure
from loadtest.report import Distribution, Group, RunReport

PERCENTS = (50.0, 95.0, 99.0)
_LOW_PERCENTS = (50.0, 5.0, 1.0)
"""Of a measure whose low values are the bad ones."""


_GROWTH_SLACK = {Figure.RESIDENT_GROWTH: 16e6}
"""Of the service's process, only resident memory comes and goes by itself: as much as the soak allows."""


class Change(StrEnum):
    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    UNSURE = "unsure"
    """Beyond the tolerance, but as like as not by chance: too few values, or intervals that overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One number in both runs. None: there is none."""

    group: str
    name: str
    before: float | None
    after: float | None
    change: Change

    @property
    def ratio(self) -> float | None:
        return None if not self.before or self.after is None else self.after / self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What is not worth a word: a share of the value before, and for seconds a least difference."""

    share: float = 0.1
    floor: float = 0.005

    def __post_init__(self) -> None:
        if self.share < 0 or self.floor < 0:
            raise ValueError(f"tolerances must not be negative, got {self.share:g} and {self.floor:g}")


def compare(before: RunReport, after: RunReport, tolerance: Tolerance) -> list[Compared]:
    """All measures' percentiles and all figures of every group that both have, and the growth of the process.

    Raises:
        ValueError: the runs are of different scenarios, or one does not count.
    """
    _comparable(before, after)
    rows: list[Compared] = []
    for old in before.groups:
        new = after.group(old.kind, old.window)
        if new is not None:
            rows += [*_figures(old, new, tolerance), *_measures(old, new, tolerance)]
    return [*rows, *_growth(before, after, tolerance)]


def _comparable(before: RunReport, after: RunReport) -> None:
    for name, report in (("first", before), ("second", after)):
        if not report.generator.valid:
            raise ValueError(f"the {name} run does not count: {'; '.join(report.generator.reasons)}")
        if report.aborted is not None:
            raise ValueError(f"the {name} run was cut short: {report.aborted}")
    free = ("objectives", "about", "generator", "metrics")
    old, new = ({k: v for k, v in report.scenario.items() if k not in free} for report in (before, after))
    different = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if different:
        raise ValueError(f"the runs are of different scenarios: {', '.join(different)} differ")


def _figures(old: Group, new: Group, tolerance: Tolerance) -> Iterator[Compared]:
    for figure in GROUP_FIGURES:
        before, after = old.figures.get(figure), new.figures.get(figure)
        change = Change.UNSURE
        if before is not None and after is not None:
            # A ratio of sessions is compared by difference, goodput by share.
            slack = tolerance.share * (before if figure is Figure.GOODPUT else 1.0)
            change = _change(before, after, slack, low_is_bad=figure.low_is_bad)
        yield Compared(group=_name(old), name=figure, before=before, after=after, change=change)


def _growth(old: RunReport, new: RunReport, tolerance: Tolerance) -> Iterator[Compared]:
    """What shrank has not grown, and is no better for it. Nothing of what neither run watched."""
    for figure in Figure:
        before, after = old.figures.get(figure), new.figures.get(figure)
        if figure in GROUP_FIGURES or before is after is None:
            continue
        change = Change.UNSURE
        if before is not None and after is not None:
            grown = max(0.0, before), max(0.0, after)
            slack = max(_GROWTH_SLACK.get(figure, 0.0), tolerance.share * grown[0])
            change = _change(*grown, slack, low_is_bad=figure.low_is_bad)
        yield Compared(group="process", name=figure, before=before, after=after, change=change)


def _measures(old: Group, new: Group, tolerance: Tolerance) -> Iterator[Compared]:
    for measure in Measure:
        before, after = old.measures.get(measure), new.measures.get(measure)
        if before is None or after is None:
            continue
        for percent in _LOW_PERCENTS if measure.low_is_bad else PERCENTS:
            yield _percentile(old, measure, percent, before, after, tolerance)


def _percentile(
    group: Group, measure: Measure, percent: float, before: Distribution, after: Distribution, tolerance: Tolerance
) -> Compared:
    """Worse or better only if the percentiles' 95 % intervals do not touch."""
    old, new = before.values(), after.values()
    was, now = old.percentile(percent), new.percentile(percent)
    floor = tolerance.floor if measure.unit == "s" else 0.0
    change = _change(was, now, max(floor, tolerance.share * was), low_is_bad=measure.low_is_bad)
    if change in (Change.WORSE, Change.BETTER):
        intervals = old.percentile_interval(percent), new.percentile_interval(percent)
        if intervals[0] is None or intervals[1] is None or _touch(intervals[0], intervals[1]):
            change = Change.UNSURE
    return Compared(group=_name(group), name=f"{measure} p{percent:g}", before=was, after=now, change=change)


def _change(before: float, after: float, slack: float, *, low_is_bad: bool) -> Change:
    worse_by = before - after if low_is_bad else after - before
    if worse_by > slack:
        return Change.WORSE
    return Change.BETTER if -worse_by > slack else Change.SAME


def _touch(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _name(group: Group) -> str:
    return (group.kind or "all") + (f", {group.window}" if group.window else "")
