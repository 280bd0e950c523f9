"""What is done with a run once it is over: judged, written, told."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from loadtest.judge import judge
from loadtest.observed import Observed
from loadtest.report import Exit
from loadtest.scenario import Scenario
from loadtest.store import PAGE, REPORT, SESSIONS, Store, StoreError, read_report, read_sessions, write_whole
from loadtest.summary import summarise
from loadtest.tell import tell


def finish(observed: Observed, store: Store, console: Console) -> Exit:
    """Write what can be written, and say how it went."""
    from loadtest.page import render  # matplotlib takes its time to load: not before a run

    report, judged = summarise(observed)
    status = report.exit
    try:
        store.write(REPORT, report.model_dump_json(indent=1) + "\n")
        path = store.write(PAGE, render(report, judged))
        console.print(f"results: {escape(str(path))}", highlight=False, soft_wrap=True)
    except StoreError as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        status = Exit.STORAGE
    tell(report, console)
    return status


def repage(folder: Path) -> Path:
    """Write a run's page anew.

    Raises:
        ValueError: the results cannot be read.
        StoreError: the page cannot be written.
    """
    from loadtest.page import render

    report, records = read_report(folder / REPORT), read_sessions(folder / SESSIONS)
    scenario = Scenario.model_validate(report.scenario)
    judged = [judge(record, scenario.player, scenario.objectives.session) for record in records]
    return write_whole(folder / PAGE, render(report, judged))
