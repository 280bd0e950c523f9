"""A person's word: OUT/review/decisions.csv, one row a triplet, with accept or reject to be filled in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from curation.store import write_text

_COLUMNS = ("id", "decision", "note")


class Decision(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"


def decisions_file(out: Path) -> Path:
    return out / "review" / "decisions.csv"


def read_decisions(path: Path) -> dict[str, Decision]:
    """What was decided so far; rows without a decision are left out.

    Raises:
        ValueError: the file is no such table, or a word in it is neither accept nor reject; names the line.
    """
    found = {}
    for line, row in enumerate(_rows(path), start=2):
        word = (row["decision"] or "").strip().lower()
        if not word:
            continue
        if word not in list(Decision):
            raise ValueError(f"{path}, line {line}: {word!r} is neither accept nor reject")
        found[row["id"]] = Decision(word)
    return found


def offer(path: Path, ids: Sequence[str]) -> None:
    """Rows for triplets that have none yet; what a person wrote stays, also about triplets that are gone."""
    rows = _rows(path)
    known = {row["id"] for row in rows}
    rows += [{"id": id_, "decision": "", "note": ""} for id_ in ids if id_ not in known]
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    # Spreadsheets put a mark at the beginning, and may write semicolons.
    text = path.read_text("utf-8-sig")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    if not {"id", "decision"} <= set(reader.fieldnames or ()):
        raise ValueError(f"{path} has no columns id and decision")
    return [{name: row.get(name) or "" for name in _COLUMNS} for row in reader]
