"""What is done with a run once it is over: judged, written, told."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.measures import Figure, Measure
from loadtest.observed import Observed
from loadtest.report import Exit, RunReport
from loadtest.store import REPORT, Store, StoreError
from loadtest.summary import summarise

_TOLD = (
    Measure.FIRST_FRAME,
    Measure.CHUNK_LATENESS,
    Measure.REBUFFER_RATIO,
    Measure.REALTIME_FACTOR,
    Measure.SWITCH_ACKNOWLEDGED,
    Measure.SWITCH_DISPLAYED,
    Measure.REJECTED_AFTER,
)


def finish(observed: Observed, store: Store, console: Console) -> Exit:
    """Write what can be written, and say how it went."""
    report, _judged = summarise(observed)
    status = report.exit
    try:
        path = store.write(REPORT, report.model_dump_json(indent=1) + "\n")
        console.print(f"results: {escape(str(path))}", highlight=False, soft_wrap=True)
    except StoreError as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        status = Exit.STORAGE
    tell(report, console)
    return status


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
    for reason in report.generator.reasons:
        console.print(f"[red]invalid:[/red] {escape(reason)}", highlight=False, soft_wrap=True)
    if report.aborted is not None:
        console.print(f"[red]cut short:[/red] {escape(report.aborted)}", highlight=False, soft_wrap=True)
