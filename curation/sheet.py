"""Contact sheets for review: a row a triplet, with reference, garment, frames of the clip, and what it is called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from curation.clip import View
from curation.store import read_picture, write_text
from curation.triplets import Triplet

ROWS = 8
"""Triplets on a page."""
_INDEX = "sheets.json"
"""What each page shows."""
_CELL = (144, 216)
_FRAMES = 5
_GAP, _TEXT = 6, 44
_INK, _PAPER = (30, 30, 30), (255, 255, 255)
_WRAP = 190


def write_sheets(folder: Path, found: Sequence[Triplet]) -> list[Path]:
    """FOLDER/sheet-001.jpg and so on. A page that shows the same as before is not drawn again."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / _INDEX
    before = json.loads(index.read_text()) if index.exists() else {}
    pages, now = [], {}
    for number, first in enumerate(range(0, len(found), ROWS), start=1):
        part = found[first : first + ROWS]
        path = folder / f"sheet-{number:03d}.jpg"
        now[path.name] = [[triplet.clip.id, triplet.garment.name, triplet.reference.name] for triplet in part]
        if before.get(path.name) != now[path.name] or not path.exists():
            _page(part).save(path, quality=88)
        pages.append(path)
    for stale in set(folder.glob("sheet-*.jpg")) - set(pages):
        stale.unlink()
    write_text(index, json.dumps(now) + "\n")
    return pages


def _page(found: Sequence[Triplet]) -> Image.Image:
    width = (2 + _FRAMES) * (_CELL[0] + _GAP) + _GAP
    height = _CELL[1] + _TEXT + _GAP
    page = Image.new("RGB", (width, len(found) * height + _GAP), _PAPER)
    for number, triplet in enumerate(found):
        _row(page, triplet, _GAP + number * height)
    return page


def _row(page: Image.Image, triplet: Triplet, top: int) -> None:
    frames = View(clip=triplet.clip, file=triplet.video).spread(_FRAMES)
    pictures = [read_picture(triplet.reference), read_picture(triplet.garment), *frames]
    for place, picture in enumerate(pictures):
        cell = ImageOps.pad(Image.fromarray(picture), _CELL, color=_PAPER)
        page.paste(cell, (_GAP + place * (_CELL[0] + _GAP), top))
    dynamic, static = triplet.captions["en_short"]
    text = f"{triplet.clip.id}   {triplet.type}, wears {triplet.worn}\n{dynamic}\n{static}"
    lines = "\n".join(line[:_WRAP] for line in text.splitlines())
    ImageDraw.Draw(page).multiline_text((_GAP, top + _CELL[1] + 2), lines, _INK, ImageFont.load_default(11), spacing=2)
