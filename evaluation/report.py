"""Reports: marks over cases as intervals, tables in markdown, and JSON that says how the figures came about."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evaluation.intervals import Interval, difference, interval
from evaluation.score import METRICS, Marks, Metric

_PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "diffusers", "skia-python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Intervals by row and metric. `marks` are by case and row: each case has every row."""

    marks: Sequence[Mapping[str, Marks]]
    metrics: Sequence[Metric] = METRICS

    def __post_init__(self) -> None:
        if not self.marks:
            raise ValueError("a table of no cases")

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(self.marks[0])

    def column(self, row: str, name: str) -> list[float]:
        return [case[row][name] for case in self.marks]

    def cell(self, row: str, metric: Metric) -> Interval:
        return interval(self.column(row, metric.name), self.column(row, metric.over) if metric.over else None)

    def differences(self, row: str, baseline: str) -> dict[str, dict[str, Any]]:
        """By metric: the row's marks less the baseline's, case by case. Not for ratios of means."""
        return {
            metric.name: asdict(difference(self.column(row, metric.name), self.column(baseline, metric.name)))
            for metric in self.metrics
            if metric.over is None
        }

    def markdown(self) -> str:
        """Metrics below each other, rows beside each other: mean and interval."""
        lines = [f"| | {' | '.join(self.rows)} |", f"|---|{'---|' * len(self.rows)}"]
        for metric in self.metrics:
            cells = (shown(self.cell(row, metric), metric) for row in self.rows)
            lines.append(f"| {metric.title} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return {row: {metric.name: asdict(self.cell(row, metric)) for metric in self.metrics} for row in self.rows}


def shown(found: Interval, metric: Metric) -> str:
    """As "97 % (94-99)", or ".93 (.91-.95)"; the number of cases where it is not all of them is in the JSON."""
    if not found.cases:
        return "-"
    if metric.percent:
        return f"{100 * found.mean:.0f} % ({100 * found.low:.0f}-{100 * found.high:.0f})"
    digits = 1 if abs(found.mean) >= 10 else 2
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"


def provenance(**settings: Any) -> dict[str, Any]:
    """How figures came about: the command as typed, when, with what, on what."""
    return {
        "command": f"python -m evaluation {' '.join(sys.argv[1:])}",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}",
        **settings,
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON with null for what could not be measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_without_nan(content), indent=1, default=float) + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
