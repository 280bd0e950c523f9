"""Where a curation lies. Every file appears under its name only once it is whole.

OUT/curation.json          what the folder was begun with
OUT/videos/VIDEO.jsonl     a source's ledger: its scenes, and the subclips made of them
OUT/clips/CLIP.mp4         subclips
OUT/ledger/CLIP.jsonl      every decision about a clip
OUT/garments/CLIP-N.png    the garment's picture, by attempt
OUT/references/CLIP-N.png  the reference, by attempt
OUT/review/                contact sheets, and decisions.csv for a person to fill in
OUT/triplets.jsonl         the manifest
OUT/report.json, report.md
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from curation.clip import Clip, View
from curation.config import Config
from curation.frames import Rgb
from curation.ledger import Ledger, Stage

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
SUBCLIPS = "subclips"
_CLIPS: TypeAdapter[list[Clip]] = TypeAdapter(list[Clip])
_DIGEST = 8


class Store:
    """The folder of a curation, and the folder of videos that it is made from."""

    def __init__(self, videos: Path, out: Path) -> None:
        self.videos, self.out = videos, out

    def begin(self, config: Config) -> None:
        """Make the folder, or go on in one that was begun with the same configuration.

        Raises:
            ValueError: there are no videos, or the folder was begun with another configuration.
        """
        if not self.videos.is_dir():
            raise ValueError(f"{self.videos} is no folder")
        path, decisive = self.out / "curation.json", config.decisive()
        if path.exists():
            if differing := sorted(_differences(json.loads(path.read_text()), decisive)):
                raise ValueError(
                    f"{self.out} was begun with another configuration; it differs in {', '.join(differing)}. "
                    "Choose another folder, or go back to the former values"
                )
            return
        write_text(path, json.dumps(decisive, indent=1) + "\n")

    def sources(self) -> list[str]:
        """Videos below the folder, by their paths in it."""
        found = (path for path in self.videos.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
        return sorted(path.relative_to(self.videos).as_posix() for path in found)

    def video_ledger(self, video: str) -> Ledger:
        return Ledger(self.out / "videos" / f"{video_id(video)}.jsonl")

    def ledger(self, clip: str) -> Ledger:
        return Ledger(self.out / "ledger" / f"{clip}.jsonl")

    def view(self, clip: Clip) -> View:
        return View(clip=clip, file=self.clip_file(clip.id))

    def clip_file(self, clip: str) -> Path:
        return self.out / "clips" / f"{clip}.mp4"

    def garment_file(self, clip: str, attempt: int) -> Path:
        return self.out / "garments" / f"{clip}-{attempt}.png"

    def reference_file(self, clip: str, attempt: int) -> Path:
        return self.out / "references" / f"{clip}-{attempt}.png"

    def clips(self) -> Iterator[Clip]:
        """All subclips so far, in the order of their names."""
        for path in sorted((self.out / "videos").glob("*.jsonl")):
            entry = Ledger(path).last(Stage.SCENES, SUBCLIPS)
            if entry is not None:
                yield from _CLIPS.validate_python(entry.data["clips"])


def video_id(video: str) -> str:
    """Readable, and distinct for distinct paths."""
    stem = re.sub(r"[^a-z0-9]+", "-", Path(video).stem.lower()).strip("-")[:40]
    return f"{stem or 'video'}-{hashlib.sha256(video.encode()).hexdigest()[:_DIGEST]}"


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def write_picture(path: Path, picture: Rgb) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    Image.fromarray(picture).save(partial, format="PNG")
    partial.replace(path)


def read_picture(path: Path) -> Rgb:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _differences(a: object, b: object, name: str = "") -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from _differences(a.get(key), b.get(key), f"{name}.{key}" if name else str(key))
    elif a != b:
        yield name
