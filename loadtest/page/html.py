"""The page: numbers a person asks for first, then the plots, then everything else in tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from loadtest.grown import grown
from loadtest.judge import Judged
from loadtest.measures import Figure as RunFigure
from loadtest.measures import Measure
from loadtest.page.percentiles import percentile_curves
from loadtest.page.sessions import sessions_and_stalls
from loadtest.page.style import styled, svg
from loadtest.page.timeline import over_time, timeline
from loadtest.report import Distribution, Exit, Group, RunReport

_ENVIRONMENT = Environment(
    loader=PackageLoader("loadtest.page", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_WORDS = {
    Exit.HELD: ("good", "Every objective holds"),
    Exit.MISSED: ("bad", "Objectives were missed"),
    Exit.INVALID: ("warn", "Invalid: the generator was not on time"),
    Exit.TARGET: ("bad", "Cut short: the target was lost"),
    Exit.STORAGE: ("warn", "Cut short: results could not be written"),
    Exit.INTERRUPTED: ("warn", "Interrupted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number to begin with."""

    name: str
    value: str
    note: str


def render(report: RunReport, sessions: Sequence[Judged]) -> str:
    """The whole page."""
    group = report.groups[0]
    limits = {
        measure: limit
        for measure in Measure
        if (limit := report.scenario["objectives"]["session"].get(measure.value)) is not None
    }
    with mpl.rc_context(styled()):
        plots = {
            "curves": _inline(percentile_curves(group, limits), "curves"),
            "timeline": _inline(timeline(sessions), "timeline"),
            "over_time": _inline(over_time(sessions, report), "over-time"),
            "sessions": _inline(sessions_and_stalls(sessions), "sessions"),
        }
    tone, words = _WORDS.get(report.exit, ("warn", "Not run to its end"))
    page: str = _ENVIRONMENT.get_template("page.html.j2").render(
        report=report,
        tone=tone,
        words=words,
        tiles=_tiles(report, group),
        plots=plots,
        seconds=_seconds,
        groups=[entry for entry in report.groups if entry.measures or entry.counts.due],
        server=_server(report),
        grown=() if report.process is None else grown(report.process),
        number=_number,
    )
    return page


def _inline(drawn: Figure, name: str) -> Markup:
    return Markup(svg(drawn, name))


def _tiles(report: RunReport, group: Group) -> list[Tile]:
    counts = group.counts
    goodput = report.figures[RunFigure.GOODPUT]
    tiles = [
        Tile(
            name="good sessions",
            value=f"{counts.good} / {counts.due}",
            note=f"{counts.spoiled} spoiled, {counts.rejected} rejected, "
            f"{counts.failed + counts.unfinished + counts.never_begun} failed",
        ),
        Tile(
            name="goodput",
            value="-" if goodput is None else f"{goodput:.1f}",
            note="seconds of video a second, in good sessions",
        ),
    ]
    for measure, name in (
        (Measure.FIRST_FRAME, "time to first frame"),
        (Measure.SWITCH_DISPLAYED, "switch to displayed"),
    ):
        if (values := group.measures.get(measure)) is not None:
            tiles.append(
                Tile(
                    name=name,
                    value=_seconds(values.percentiles["50"]),
                    note=f"median; p99 {_seconds(values.percentiles['99'])}",
                )
            )
    if (ratio := group.measures.get(Measure.REBUFFER_RATIO)) is not None:
        note = f"of watching time stood still; worst 5 %: {100 * ratio.worst_5_percent_mean:.1f} %"
        tiles.append(Tile(name="rebuffer ratio", value=f"{100 * ratio.mean:.1f} %", note=note))
    if (factor := group.measures.get(Measure.REALTIME_FACTOR)) is not None:
        note = f"median; mean of the worst 5 %: {factor.worst_5_percent_mean:.2f}"
        tiles.append(Tile(name="real-time factor", value=f"{factor.percentiles['50']:.2f}", note=note))
    return tiles


def _seconds(value: float) -> str:
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.2f} s"


def _number(measure: Measure, distribution: Distribution, key: str) -> str:
    value = distribution.percentiles[key] if key in distribution.percentiles else getattr(distribution, key)
    return _seconds(value) if measure.unit == "s" else f"{value:.3f}"


def _server(report: RunReport) -> list[tuple[str, float, float]]:
    """What changed while the run went on: sample, first value, last."""
    if report.server is None:
        return []
    first: dict[str, Any] = report.server.first
    return [
        (key, first.get(key, 0.0), value)
        for key, value in sorted(report.server.last.items())
        if value != first.get(key, 0.0)
    ]
