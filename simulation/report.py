"""Findings for people: a table and a picture, each under its headline."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from rich.table import Table

from simulation.curve import Figures
from simulation.day import Day
from simulation.results import Findings, shares

mpl.use("Agg")

from matplotlib import pyplot as plt

_COLUMNS = (
    "policy",
    "turned away %",
    "refusals per 100 asked",
    "ended by us %",
    "objectives missed %",
    "good %",
    "pods at peak",
    "node hours",
    "cost per session-minute",
    "pod-minutes per session-minute",
    "utilisation %",
)

_CURVE_COLUMNS = (
    "sessions on a pod",
    "chunk costs the engine, ms",
    "utilisation %",
    "queue, ms",
    "slow chunks %",
    "late chunks %",
    "switches missed %",
    "first frame, median, s",
)


def row(day: Day) -> tuple[str, ...]:
    """The values of a table's columns."""
    part, books = shares(day), day.books
    missed = part["first_frame_missed"] + part["late_missed"] + part["switch_missed"] + part["stalled"]
    return (
        day.policy,
        f"{100 * part['turned_away']:.2f}",
        f"{100 * books.refusals / max(1, books.asked):.1f}",
        f"{100 * (part['drained'] + part['lost']):.2f}",
        f"{100 * missed:.2f}",
        f"{100 * part['good']:.2f}",
        str(max((moment.ready for moment in day.timeline), default=0)),
        f"{day.paid_node_s / 3600:.0f}",
        f"{day.cost_per_session_minute:.4f}",
        f"{day.pod_minutes_per_session_minute:.2f}",
        f"{100 * day.utilisation:.0f}",
    )


def table(findings: Findings) -> Table:
    result = Table(title=findings.headline, caption=f"price: {findings.scenario.node.price_origin}")
    for number, column in enumerate(_COLUMNS):
        result.add_column(column, justify="right" if number else "left")
    for day in findings.days:
        result.add_row(*row(day))
    return result


def markdown(findings: Findings) -> str:
    """The same table, for docs/."""
    lines = [
        f"**{findings.headline}**",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|---{'|---:' * (len(_COLUMNS) - 1)}|",
        *(f"| {' | '.join(row(day))} |" for day in findings.days),
        "",
        f"Price: {findings.scenario.node.price_origin}.",
    ]
    if findings.curve is not None:
        lines += ["", *_curve(findings.curve)]
    return "\n".join(lines) + "\n"


def _curve(curve: tuple[Figures, ...]) -> list[str]:
    """What a pod does at each number of sessions."""
    lines = [f"| {' | '.join(_CURVE_COLUMNS)} |", f"|{'---:|' * len(_CURVE_COLUMNS)}"]
    for sessions, at in enumerate(curve[1:], 1):
        values = (
            str(sessions),
            f"{1000 * at.cost_s:.0f}",
            f"{100 * at.utilisation:.0f}",
            f"{1000 * at.queue_s:.0f}",
            f"{100 * at.slow_per_s / at.chunks_per_s:.1f}",
            f"{100 * at.late_per_s / at.chunks_per_s:.1f}",
            f"{100 * at.switch_late:.1f}",
            f"{statistics.median(start.first_frame_s for start in at.starts):.2f}",
        )
        lines.append(f"| {' | '.join(values)} |")
    return lines


def plot(findings: Findings, path: Path) -> None:
    """Each policy's day: sessions against what was ready and paid; turned away below."""
    blocks, places = findings.scenario.pod.blocks, findings.scenario.node.pods
    days = findings.days
    figure, axes = plt.subplots(len(days), 1, figsize=(11, 2.2 * len(days) + 1), sharex=True, squeeze=False)
    for axis, day in zip(axes[:, 0], days, strict=True):
        hours = [moment.at_s / 3600.0 for moment in day.timeline]
        paid = [moment.nodes * places * blocks for moment in day.timeline]
        axis.fill_between(hours, paid, color="#dddddd", step="post", label="paid for")
        axis.plot(hours, [m.ready * blocks for m in day.timeline], color="#1f77b4", linewidth=1, label="ready")
        axis.plot(hours, [m.sessions for m in day.timeline], color="#2ca02c", linewidth=1, label="sessions")
        axis.set_ylabel("sessions")
        axis.set_title(day.policy, loc="left", fontsize=9)
        away = axis.twinx()
        away.plot(
            hours, [m.turned_away for m in day.timeline], color="#d62728", linewidth=0.7, label="turned away a minute"
        )
        away.set_ylim(bottom=0, top=max(1, *(m.turned_away for d in days for m in d.timeline)))
        away.tick_params(labelsize=7, colors="#d62728")
    lines = [line for axis in figure.axes[: len(days)][:1] for line in axis.get_legend_handles_labels()[0]]
    figure.legend(handles=[*lines, figure.axes[len(days)].lines[0]], loc="lower left", ncols=4, fontsize=8)
    axes[-1, 0].set_xlabel("hour of the day")
    inch = 1.0 / figure.get_figheight()  # whatever the number of days
    figure.suptitle(findings.headline, x=0.01, y=1.0 - 0.1 * inch, ha="left", va="top", fontsize=10)
    figure.tight_layout(rect=(0.0, 0.3 * inch, 1.0, 1.0 - 0.3 * inch))
    figure.savefig(path, dpi=100)
    plt.close(figure)
