"""Results in short, on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.compare import Change, Compared
from loadtest.grown import grown
from loadtest.measures import Figure, Measure
from loadtest.report import RunReport
from loadtest.search import SearchReport
from loadtest.selfcheck import SelfCheck

_TOLD = (
    Measure.FIRST_FRAME,
    Measure.CHUNK_LATENESS,
    Measure.REBUFFER_RATIO,
    Measure.REALTIME_FACTOR,
    Measure.SWITCH_ACKNOWLEDGED,
    Measure.SWITCH_DISPLAYED,
    Measure.REJECTED_AFTER,
)


def tell(report: RunReport, console: Console) -> None:
    """The report in short, on a terminal."""
    counts = report.groups[0].counts
    console.print(
        f"{counts.due} sessions due: {counts.good} good, {counts.spoiled} spoiled, {counts.rejected} rejected, "
        f"{counts.failed} failed, {counts.unfinished} unfinished, {counts.never_begun} never begun; "
        f"goodput {report.figures[Figure.GOODPUT] or 0:.2f} s of video a second",
        highlight=False,
        soft_wrap=True,
    )
    if degraded := report.figures[Figure.DEGRADED_RATIO]:
        console.print(f"{degraded:.1%} of the chunks went without some of their passes", highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("measure", "p50", "p95", "p99", "worst 5 %", "count"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for measure in _TOLD:
        if (values := report.groups[0].measures.get(measure)) is not None:
            shown = (*(values.percentiles[percent] for percent in ("50", "95", "99")), values.worst_5_percent_mean)
            table.add_row(measure, *(f"{value:.3f}" for value in shown), str(values.count))
    console.print(table)
    for verdict in report.verdicts:
        value = "nothing was measured" if verdict.value is None else f"{verdict.value:.6g}"
        mark = "[green]held[/green]" if verdict.held else "[red]missed[/red]"
        console.print(f"{mark}  {escape(verdict.text)}: {value}", highlight=False, soft_wrap=True)
    for more in () if report.process is None else grown(report.process):
        said = f"more {more.what} than before: {more.name}, {more.after} in place of {more.before}"
        console.print(escape(said), highlight=False, soft_wrap=True)
    for reason in report.generator.reasons:
        console.print(f"[red]invalid:[/red] {escape(reason)}", highlight=False, soft_wrap=True)
    if report.aborted is not None:
        console.print(f"[red]cut short:[/red] {escape(report.aborted)}", highlight=False, soft_wrap=True)


def tell_search(found: SearchReport, console: Console) -> None:
    for trial in sorted(found.trials, key=lambda trial: trial.sessions):
        console.print(f"{trial.sessions:6d} sessions: {sum(trial.met)} of {len(trial.met)} met", highlight=False)
    surely, never = found.interval
    if found.trials:
        console.print(
            f"[bold]{found.sessions} sessions[/bold] meet the objectives; always {surely}, "
            + ("and the highest number tried too" if never is None else f"never more than {never}"),
            highlight=False,
            soft_wrap=True,
        )
    if found.cut_short is not None:
        console.print(f"[red]cut short:[/red] {escape(found.cut_short)}", highlight=False, soft_wrap=True)


def tell_comparison(rows: Iterable[Compared], console: Console, *, every: bool) -> None:
    """What changed; with `every` all of it."""
    shown = [row for row in rows if every or row.change in (Change.WORSE, Change.BETTER, Change.UNSURE)]
    table = Table(box=None, pad_edge=False)
    for column in ("sessions", "what", "before", "after", "ratio", ""):
        table.add_column(column, justify="right" if column in ("before", "after", "ratio") else "left")
    colours = {Change.WORSE: "red", Change.BETTER: "green"}
    for row in shown:
        numbers = ("-" if value is None else f"{value:.4g}" for value in (row.before, row.after, row.ratio))
        table.add_row(row.group, row.name, *numbers, row.change, style=colours.get(row.change))
    console.print(table if shown else "nothing changed beyond the tolerance", highlight=False)


def tell_proof(found: SelfCheck, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("check", "stated", "lowest", "median", "highest", ""):
        table.add_column(column, justify="left" if column in ("check", "") else "right")
    for check in found.checks:
        mark = "[green]held[/green]" if check.held else "[red]missed[/red]"
        table.add_row(check.name, f"{check.stated:.3f}", *(f"{value:.3f}" for value in check.measured), mark)
    console.print(table)
    if found.cores_used is not None and found.lag_p99_s is not None:
        console.print(
            f"{found.sessions} sessions at once took {found.cores_used:.2f} cores of workers; their lag was "
            f"{1000 * found.lag_p99_s:.1f} ms at the 99th percentile",
            highlight=False,
            soft_wrap=True,
        )
    if found.cut_short is not None:
        console.print(f"[red]cut short:[/red] {escape(found.cut_short)}", highlight=False, soft_wrap=True)
