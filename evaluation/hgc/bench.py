"""HGC-Bench's layout: a table of `src_image`, `cloth_image` and `prompt`, as JSON or CSV, beside its pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COLUMNS = ("src_image", "cloth_image", "prompt")
_CAPTION = "en_short"


class BenchError(ValueError):
    """The folder holds no benchmark; the message names the file, the row and what is wrong in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSample:
    """One sample. `prompt` tells the action, `description` the scene and the garment; empty if the table has none."""

    name: str
    person: Path
    garment: Path
    prompt: str
    description: str


def read_bench(folder: Path) -> list[BenchSample]:
    """The samples of a folder that holds one .json, .jsonl or .csv table; pictures lie relative to the folder.

    Raises:
        BenchError: there is no table, or more than one, or a row lacks a column, a caption or a picture.
    """
    tables = [path for pattern in ("*.json", "*.jsonl", "*.csv") for path in sorted(folder.glob(pattern))]
    if len(tables) != 1:
        raise BenchError(f"{folder} holds {len(tables)} tables (.json, .jsonl, .csv) and should hold one")
    (table,) = tables
    try:
        rows = list(_rows(table))
    except (json.JSONDecodeError, csv.Error, UnicodeDecodeError) as error:
        raise BenchError(f"{table}: {error}") from error
    if not rows:
        raise BenchError(f"{table} has no samples")
    return [_sample(folder, table, number, row) for number, row in enumerate(rows, start=1)]


def _rows(table: Path) -> Iterable[Mapping[str, Any]]:
    text = table.read_text(encoding="utf-8-sig")
    if table.suffix == ".csv":
        return csv.DictReader(text.splitlines(keepends=True))
    if table.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    content = json.loads(text)
    if isinstance(content, dict):
        return list(content.values())
    return list(content)


def _sample(folder: Path, table: Path, number: int, row: Mapping[str, Any]) -> BenchSample:
    where = f"{table}, sample {number}"
    if not isinstance(row, Mapping) or (missing := [name for name in _COLUMNS if not row.get(name)]):
        raise BenchError(f"{where} lacks {', '.join(missing) if isinstance(row, Mapping) else 'columns'}")
    pictures = {name: folder / str(row[name]) for name in _COLUMNS[:2]}
    for name, path in pictures.items():
        if not path.is_file():
            raise BenchError(f"{where}: {name} {path} is no file")
    prompt, description = _caption(folder, row["prompt"], where)
    return BenchSample(
        name=f"{number:03d}-{pictures['src_image'].stem}",
        person=pictures["src_image"],
        garment=pictures["cloth_image"],
        prompt=prompt,
        description=description,
    )


def _caption(folder: Path, prompt: Any, where: str) -> tuple[str, str]:
    """(dynamic, static) of a caption: plain text, JSON in the table, or a .json file that the table names."""
    if isinstance(prompt, str) and prompt.endswith(".json"):
        path = folder / prompt
        if not path.is_file():
            raise BenchError(f"{where}: the caption {path} is no file")
        prompt = path.read_text(encoding="utf-8-sig")
    if isinstance(prompt, str):
        if not prompt.lstrip().startswith("{"):
            return prompt.strip(), ""
        try:
            prompt = json.loads(prompt)
        except json.JSONDecodeError as error:
            raise BenchError(f"{where}: the caption is no JSON: {error}") from error
    captions = prompt.get("caption", prompt) if isinstance(prompt, Mapping) else None
    found = captions.get(_CAPTION) if isinstance(captions, Mapping) else None
    if isinstance(found, str) and found.strip():
        return found.strip(), ""
    if isinstance(found, list) and found and all(isinstance(part, str) for part in found):
        return found[0].strip(), found[1].strip() if len(found) > 1 else ""
    raise BenchError(f"{where}: the caption has no {_CAPTION!r} of text, or of [dynamic, static]")
