"""Rows of the GPU benchmark: written as they come, shown as one table."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PAPER_FPS = 23.8
"""Of the paper's student on one H200, arXiv 2605.15824; almost surely without the VAE."""
_LOG_WIDTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure and its scope.

    Attributes:
        what: the part that was measured.
        size: of the frame, width x height in pixels.
        window: latent frames attended, those of the pass included; None where there is no window.
        median_ms, least_ms, most_ms: over `runs`; None: not measured, and `note` says why.
        floor_ms: what this machine's measured matrix and copy rates allow at best; None: not counted.
        fps: video frames a second, where the row stands for a whole chunk.
        peak_gb: the allocator's largest footprint so far within this row, weights included.
    """

    what: str
    size: str
    precision: str
    batch: int = 1
    window: int | None = None
    runs: int = 0
    median_ms: float | None = None
    least_ms: float | None = None
    most_ms: float | None = None
    floor_ms: float | None = None
    fps: float | None = None
    peak_gb: float | None = None
    note: str = ""


@dataclass(kw_only=True)
class Report:
    """What has been measured so far. `path` is replaced with every row, so that an end by force loses none."""

    path: Path | None
    machine: dict[str, Any]
    budget_s: float
    clock: Callable[[], float] = time.monotonic
    say: Callable[[str], None] = print
    rates: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def left_s(self) -> float:
        return self.budget_s - (self.clock() - self._began)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.say(line(row))
        self.write()

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.say(text)
        self.write()

    def write(self) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_name(f"{self.path.name}.part")
            partial.write_text(json.dumps(self.to_json(), indent=1) + "\n")
            partial.replace(self.path)

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "budget_s": self.budget_s,
            "spent_s": round(self.budget_s - self.left_s, 1),
            "rates": self.rates,
            "paper_fps": PAPER_FPS,
            "notes": self.notes,
            "rows": [asdict(row) for row in self.rows],
        }

    def show(self) -> None:
        """The table, where rich is installed; every row has been said already."""
        try:
            from rich.console import Console
            from rich.table import Table
        except ImportError:
            self.say("(pip install rich for a table)")
            return
        table = Table(title=f"{self.machine['device']}; the paper's student: {PAPER_FPS} frames/s")
        for name in ("what", "frame", "type", "B", "window"):
            table.add_column(name)
        for name in ("ms", "least - most", "floor ms", "of floor", "frames/s", "peak GB"):
            table.add_column(name, justify="right")
        table.add_column("note")
        for row in self.rows:
            table.add_row(*_cells(row))
        console = Console()
        # A log has no width of its own.
        Console(width=None if console.is_terminal else _LOG_WIDTH).print(table)


def title(row: Row) -> str:
    """What a row is about, with its scope."""
    window = "" if row.window is None else f", window {row.window}"
    return f"{row.what} ({row.size} {row.precision} batch {row.batch}{window})"


def line(row: Row) -> str:
    """A row in one line."""
    cells = zip(("ms", "range", "floor ms", "of floor", "frames/s", "peak GB"), _cells(row)[5:11], strict=True)
    figures = ", ".join(f"{name} {cell}" for name, cell in cells if cell)
    return f"{title(row)}: {figures or 'not measured'}{f' [{row.note}]' if row.note else ''}"


def _cells(row: Row) -> list[str]:
    share = None if not row.median_ms or row.floor_ms is None else row.floor_ms / row.median_ms
    return [
        row.what,
        row.size,
        row.precision,
        str(row.batch),
        "" if row.window is None else str(row.window),
        _number(row.median_ms),
        "" if row.least_ms is None else f"{_number(row.least_ms)} - {_number(row.most_ms)}",
        _number(row.floor_ms),
        "" if share is None else f"{share:.0%}",
        _number(row.fps),
        _number(row.peak_gb),
        row.note,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"
