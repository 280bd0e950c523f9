"""How the run goes, live: a table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from loadtest.messages import Ended, Report, Tick
from loadtest.record import Outcome

_LINE_EVERY_S = 5.0


class Progress:
    """Hears every report of the workers."""

    def __init__(self, console: Console, name: str, *, due: int, until_s: float) -> None:
        self._console = console
        self._name = name
        self._due = due
        self._until_s = until_s
        self._ticks: dict[int, Tick] = {}
        self._outcomes: Counter[Outcome] = Counter()
        self._first_frame_s: list[float] = []
        self._chunks_before = (0.0, 0)
        self._chunk_rate = 0.0
        self._said_s = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def hear(self, report: Report) -> None:
        match report:
            case Tick():
                self._ticks[report.worker] = report
            case Ended(record=record):
                self._outcomes[record.outcome] += 1
                if record.chunk_received_s:
                    self._first_frame_s.append(record.chunk_received_s[0] - record.due_s)

    def show(self, now_s: float) -> None:
        """Call it often; it shows something now and then."""
        at_s, before = self._chunks_before
        chunks = sum(tick.chunks for tick in self._ticks.values())
        if now_s - at_s >= 1.0:
            self._chunk_rate = (chunks - before) / (now_s - at_s)
            self._chunks_before = now_s, chunks
        if self._live is not None:
            self._live.update(self._table(now_s), refresh=True)
        elif time.monotonic() - self._said_s >= _LINE_EVERY_S:
            self._said_s = time.monotonic()
            row = " ".join(f"{name} {value}" for name, value in self._row(now_s).items())
            self._console.print(row, highlight=False, soft_wrap=True)

    def _table(self, now_s: float) -> Table:
        table = Table(title=self._name, title_justify="left", title_style="bold")
        row = self._row(now_s)
        for name in row:
            table.add_column(name, justify="right", style={"failed": "red", "rejected": "yellow"}.get(name))
        table.add_row(*row.values())
        return table

    def _row(self, now_s: float) -> dict[str, str]:
        """`failed` counts what the run itself cut short too."""
        ticks = self._ticks.values()
        first_frames = sorted(self._first_frame_s)
        of = self._outcomes
        return {
            "time": f"{max(0.0, now_s):.0f}/{self._until_s:.0f} s",
            "begun": f"{sum(t.begun for t in ticks)}" + (f"/{self._due}" if self._due else ""),
            "open": str(sum(t.open for t in ticks)),
            "completed": str(of[Outcome.COMPLETED]),
            "rejected": str(of[Outcome.REJECTED]),
            "failed": str(of[Outcome.FAILED] + of[Outcome.UNFINISHED]),
            "chunks/s": f"{self._chunk_rate:.1f}",
            "first frame p50": f"{first_frames[len(first_frames) // 2]:.2f} s" if first_frames else "-",
            "lag": f"{1000 * max((t.lag_s for t in ticks), default=0.0):.0f} ms",
        }
