"""What is shown while a run goes on: a table on a terminal, lines elsewhere."""

from io import StringIO

import pytest
from rich.console import Console

from loadtest import progress
from loadtest.messages import Ended, Tick
from loadtest.progress import Progress
from tests.loadtest.conftest import record
from tests.loadtest.test_summary import rejected


def shown(*, terminal: bool) -> str:
    """Two workers, ten seconds: four sessions begun, one open, one good, one turned away."""
    console = Console(file=StringIO(), force_terminal=terminal, color_system=None, width=140)
    with Progress(console, "little", due=9, until_s=32.0) as live:
        for worker, lag_s in ((0, 0.002), (1, 0.015)):
            tick = Tick(worker=worker, at_s=10.0, begun=2, open=worker, chunks=20, lag_s=lag_s)
            live.hear(tick)
        live.hear(Ended(record=record()))
        live.hear(Ended(record=rejected()))
        live.show(10.0)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_a_table_of_what_the_workers_say() -> None:
    text = shown(terminal=True)
    heads = ["time", "begun", "open", "completed", "rejected", "failed", "chunks/s", "first frame p50", "lag"]
    (head,) = {line for line in text.splitlines() if "begun" in line}  # drawn anew and anew
    (row,) = {line for line in text.splitlines() if "10/32 s" in line}
    assert [cell.strip() for cell in head.strip("┃ ").split("┃")] == heads
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        "10/32 s", "4/9", "1", "1", "1", "0", "4.0", "0.50 s", "15 ms",
    ]  # fmt: skip


def test_elsewhere_a_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(terminal=False) == "", "not at once"
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    (line,) = shown(terminal=False).splitlines()
    assert line.startswith("time 10/32 s begun 4/9 open 1 completed 1")
