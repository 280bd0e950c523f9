"""Every session as a line, and what was open when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from loadtest.judge import OWN_FAULT, Judged
from loadtest.measures import Measure
from loadtest.page.style import BAD, GOOD, INK, SERVICE, SPOILED, WAIT, figure, nothing
from loadtest.record import Outcome
from loadtest.report import RunReport

_AS_PIXELS = 1500
"""Sessions beyond which lines are embedded as a picture: the page stays light."""
_Segment = tuple[tuple[float, float], tuple[float, float]]
_SESSION_GAUGE = "chameleon_sessions{state="


def timeline(sessions: Sequence[Judged]) -> Figure:
    """One line a session, by when it was due: waiting, playing, standing still."""
    count = len(sessions)
    drawn = figure(min(7.5, max(2.2, 1.1 + 0.16 * count)))
    axes = drawn.subplots()
    if not sessions:
        nothing(axes, "no session was begun")
        return drawn
    ordered = sorted(sessions, key=lambda session: (session.record.due_s, session.record.index))
    width = max(0.6, min(6.0, 300.0 / count))
    waiting: list[_Segment] = []
    good: list[_Segment] = []
    spoiled: list[_Segment] = []
    stalled: list[_Segment] = []
    for row, session in enumerate(ordered):
        record, playback = session.record, session.playback
        first_s = record.ended_s if playback is None else playback.shown_s[0]
        waiting.append(_line(record.due_s, first_s, row))
        if playback is not None:
            end_s = record.ended_s if record.behaviour in OWN_FAULT else playback.ended_s
            (good if session.good else spoiled).append(_line(first_s, end_s, row))
            if record.behaviour not in OWN_FAULT:
                stalled += [_line(stall.at_s, stall.at_s + stall.length_s, row) for stall in playback.stalls]
    for segments, colour in ((waiting, WAIT), (good, GOOD), (spoiled, SPOILED), (stalled, BAD)):
        lines = LineCollection(segments, colors=colour, linewidths=width, capstyle="butt")
        lines.set_rasterized(count > _AS_PIXELS)
        axes.add_collection(lines)
    _marks(axes, ordered, width)
    axes.set_ylim(count - 0.3, -0.7)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.autoscale_view(scalex=True, scaley=False)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds from the run's start")
    _legend(axes)
    return drawn


def over_time(sessions: Sequence[Judged], report: RunReport) -> Figure:
    """Sessions open and standing still; below, when first frames came; stalls by the time they happened."""
    drawn = figure(4.4)
    top, bottom = drawn.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
    records = [session.record for session in sessions]
    top.set_title("Sessions open")
    _steps(top, [(r.opened_s, r.ended_s) for r in records if r.opened_s is not None], GOOD, "open, by the client")
    playbacks = [s.playback for s in sessions if s.playback is not None and s.record.behaviour not in OWN_FAULT]
    stalls = [(stall.at_s, stall.at_s + stall.length_s) for playback in playbacks for stall in playback.stalls]
    _steps(top, stalls, BAD, "standing still", fill=True)
    _service_sessions(top, report)
    top.set_ylim(bottom=0)
    if top.get_legend_handles_labels()[0]:
        top.legend(fontsize=8, loc="upper right")
    bottom.set_title("Time to first frame, by when the session was due")
    for label, colour, wanted in (("good", GOOD, True), ("not good", SPOILED, False)):
        points = [
            (s.record.due_s, s.values[Measure.FIRST_FRAME][0])
            for s in sessions
            if s.good is wanted and Measure.FIRST_FRAME in s.values
        ]
        if points:
            _scatter(bottom, points, s=12, color=colour, label=label, linewidths=0)
    refused = [
        (s.record.due_s, s.record.ended_s - s.record.due_s) for s in sessions if s.record.outcome is Outcome.REJECTED
    ]
    if refused:
        _scatter(bottom, refused, s=14, color=WAIT, marker="x", label="rejected after")
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("seconds")
    bottom.set_xlabel("seconds from the run's start")
    if bottom.get_legend_handles_labels()[0]:
        bottom.legend(fontsize=8, loc="upper right")
    return drawn


def _marks(axes: Axes, ordered: Sequence[Judged], width: float) -> None:
    size = max(2.0, min(16.0, 3 * width))
    for outcome, marker, colour in ((Outcome.REJECTED, "x", "#b57a15"), (Outcome.FAILED, "X", BAD)):
        points = [(s.record.ended_s, row) for row, s in enumerate(ordered) if s.record.outcome is outcome]
        if points:
            _scatter(axes, points, marker=marker, s=2 * size, color=colour, zorder=3)
    shown = [
        (session.playback.shown_s[session.record.chunk_pts_s.index(switch.pts_s)], row)
        for row, session in enumerate(ordered)
        if session.playback is not None
        for switch in session.record.switches
        if switch.pts_s is not None and switch.pts_s in session.record.chunk_pts_s
    ]
    if shown:
        _scatter(axes, shown, marker="|", s=4 * size, color=INK, zorder=3, linewidths=1.2)


def _legend(axes: Axes) -> None:
    entries = [("waiting", WAIT), ("playing, good", GOOD), ("playing, not good", SPOILED), ("standing still", BAD)]
    handles = [Line2D([], [], color=colour, linewidth=4, label=label) for label, colour in entries]
    for marker, colour, label in (("|", INK, "switch shown"), ("x", "#b57a15", "rejected"), ("X", BAD, "failed")):
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", label=label))
    axes.legend(handles=handles, fontsize=8, ncols=7, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3)


def _steps(axes: Axes, spans: Iterable[tuple[float, float]], colour: str, label: str, *, fill: bool = False) -> None:
    """How many spans cover each time."""
    changes = sorted(change for begin_s, end_s in spans for change in ((begin_s, 1), (end_s, -1)))
    if not changes:
        return
    times, levels, level = [0.0], [0], 0
    for at_s, step in changes:
        level += step
        times.append(at_s)
        levels.append(level)
    if fill:
        axes.fill_between(times, levels, step="post", color=colour, alpha=0.75, linewidth=0, label=label)
    else:
        axes.step(times, levels, where="post", color=colour, linewidth=1.6, label=label)


def _service_sessions(axes: Axes, report: RunReport) -> None:
    """What the service itself said, if it was scraped."""
    if report.server is None:
        return
    streaming = report.server.series.get(_SESSION_GAUGE + "streaming}")
    if streaming is not None:
        axes.step(
            streaming.at_s,
            streaming.value,
            where="post",
            color=SERVICE,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            label="streaming, by the service",
        )


def _line(from_s: float, until_s: float, row: int) -> _Segment:
    return (from_s, row), (until_s, row)


def _scatter(axes: Axes, points: Sequence[tuple[float, float]], **style: Any) -> None:
    axes.scatter([x for x, _ in points], [y for _, y in points], **style)
