"""What a training tells people: a line with rates and time left, a CSV of every step, a plot."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import matplotlib

_LINE_S = 10.0
_SMOOTHING = 0.05


class Progress:
    """Metrics of one stage, in `folder`; rows from `start` on are written anew.

    Args:
        clock: seconds; only rates and time left depend on it.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        start: int,
        steps: int,
        clock: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ) -> None:
        self._name, self._csv, self._plot = name, folder / "metrics.csv", folder / "metrics.png"
        self._start, self._steps, self._clock, self._stream = start, steps, clock, stream or sys.stderr
        self._began, self._shown = clock(), -_LINE_S
        self._rows = _rows(self._csv, before=start)
        self._smooth: float | None = None

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note a step; show a line where it is the last, or some seconds after the last line."""
        self._rows.append({"step": step, **metrics})
        loss = metrics["loss"]
        self._smooth = loss if self._smooth is None else self._smooth + _SMOOTHING * (loss - self._smooth)
        now = self._clock() - self._began
        if now - self._shown < _LINE_S and step + 1 < self._steps:
            return
        self._shown = now
        done = step + 1 - self._start
        left = (self._steps - step - 1) * now / done
        others = "".join(f" {name} {value:.3g}" for name, value in metrics.items() if name != "loss")
        line = (
            f"{self._name} {step + 1}/{self._steps} loss {self._smooth:.4f}{others} "
            f"{now / done:.2f} s/step, {_minutes(now)} gone, {_minutes(left)} left"
        )
        live = self._stream.isatty()
        print(
            f"\r\x1b[K{line}" if live else line,
            end="" if live and step + 1 < self._steps else "\n",
            file=self._stream,
            flush=True,
        )

    def save(self) -> None:
        """Bring the CSV and the plot up to date."""
        if not self._rows:
            return
        partial = self._csv.with_suffix(".partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self._rows[-1]), restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self._rows)
        partial.rename(self._csv)
        _plot(self._rows, self._name, self._plot)


def _rows(path: Path, *, before: int) -> list[dict[str, float]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row for row in rows if row["step"] < before]


def _plot(rows: list[dict[str, float]], name: str, path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [metric for metric in rows[-1] if metric != "step"]
    figure, axes = pyplot.subplots(len(names), 1, figsize=(8, 2.2 * len(names)), sharex=True, squeeze=False)
    for axis, metric in zip(axes[:, 0], names, strict=True):
        points = [(row["step"], row[metric]) for row in rows if metric in row]
        axis.plot(*zip(*points, strict=True), linewidth=0.8)
        axis.set_ylabel(metric)
    axes[0, 0].set_title(name)
    axes[-1, 0].set_xlabel("step")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
