"""Percentile curves: how bad it is for the unlucky ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.histogram import Values
from loadtest.measures import Measure
from loadtest.page.style import BAD, LINES, figure, nothing
from loadtest.report import Group

_TICKS = (50.0, 90.0, 99.0, 99.9, 99.99)
_FEW = 2


def percentile_curves(group: Group, limits: Mapping[Measure, float]) -> Figure:
    """Time to first frame, switches stage by stage, chunks behind their schedule. `limits`: of a good session."""
    drawn = figure(2.9)
    left, middle, right = drawn.subplots(1, 3)
    _panel(left, "Time to first frame", group, {Measure.FIRST_FRAME: "first frame", Measure.OPENED: "opened"}, limits)
    stages = {
        Measure.SWITCH_DISPLAYED: "displayed",
        Measure.SWITCH_RECEIVED: "received",
        Measure.SWITCH_APPLIED: "applied",
        Measure.SWITCH_ACKNOWLEDGED: "acknowledged",
    }
    _panel(middle, "Garment switch, from when it was due", group, stages, limits)
    behind = {Measure.CHUNK_LATENESS: "chunk behind schedule", Measure.STALL: "stall"}
    _panel(right, "Chunks and stalls", group, behind, limits)
    return drawn


def _panel(axes: Axes, title: str, group: Group, named: Mapping[Measure, str], limits: Mapping[Measure, float]) -> None:
    found = [(measure, group.measures[measure].values()) for measure in named if measure in group.measures]
    found = [(measure, values) for measure, values in found if values.count >= _FEW]
    if not found:
        nothing(axes, f"{title}: nothing was measured")
        return
    axes.set_title(title)
    most = max(values.count for _, values in found)
    for colour, (measure, values) in zip(LINES, found, strict=False):
        percents = _percents(values)
        axes.plot(
            [_place(percent) for percent in percents],
            values.percentiles(percents),
            color=colour,
            label=f"{named[measure]} ({values.count})",
            linewidth=1.8,
        )
    limit = limits.get(found[0][0])
    if limit is not None:
        axes.axhline(limit, color=BAD, linewidth=1, linestyle=(0, (4, 3)), label=f"limit of {named[found[0][0]]}")
    ticks = [tick for tick in _TICKS if 100 - tick >= 100 / (2 * most)]
    axes.set_xticks([_place(tick) for tick in ticks], [f"{tick:g} %" for tick in ticks])
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    axes.set_ylabel("seconds")
    axes.legend(fontsize=8, loc="upper left")


def _percents(values: Values) -> Sequence[float]:
    """Evenly on the curve's axis, as far as the number of values carries."""
    last = _place(100 - 100 / (2 * values.count))
    return [100 * (1 - 2.0 ** -(last * step / 200)) for step in range(201)]


def _place(percent: float) -> float:
    """Where a percentile stands: halvings of what is left, so that the tail is seen."""
    return -math.log2(1 - percent / 100)
