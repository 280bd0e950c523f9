"""A recorded trace of arrivals: one a line of a CSV file, its first column the seconds from the run's start."""

from __future__ import annotations

import csv
from pathlib import Path

from loadtest.arrivals import LATEST_S, MOST_TRACED


def read(path: Path) -> list[float]:
    """Other columns, empty lines and one line of headings are passed over.

    Raises:
        ValueError: it cannot be read, or a line holds no such time; says which.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, row[0].strip()) for number, row in enumerate(csv.reader(file), 1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    found: list[float] = []
    for place, (number, text) in enumerate(rows):
        at_s = _seconds(text)
        if at_s is None and place == 0:
            continue
        if at_s is None or not 0 <= at_s <= LATEST_S:
            raise ValueError(f"{path}, row {number}: a time must lie in 0 to {LATEST_S:g} s, got {text!r}")
        found.append(at_s)
    if not 1 <= len(found) <= MOST_TRACED:
        raise ValueError(f"{path} must hold 1 to {MOST_TRACED} times, got {len(found)}")
    return found


def _seconds(text: str) -> float | None:
    """None if it is no number."""
    try:
        return float(text)
    except ValueError:
        return None
