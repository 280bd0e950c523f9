"""What passed everything: triplets, and the manifest that training and HGC-Bench's reader understand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.captioning import CAPTION
from curation.clip import Clip
from curation.garments import garment_of
from curation.ledger import Stage
from curation.references import REFERENCE
from curation.review import Decision
from curation.roles import Captions, GarmentType
from curation.store import Store, write_text

MANIFEST = "triplets.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplet:
    """The clip, its garment, and the reference that wears `worn`'s garment instead; files are absolute or as OUT is."""

    clip: Clip
    type: GarmentType
    worn: str
    video: Path
    garment: Path
    reference: Path
    captions: Captions

    def row(self, out: Path) -> dict[str, Any]:
        """One line of the manifest, with paths below OUT. The captions are in the form of the authors' metadata."""
        clip = self.clip
        return {
            "id": clip.id,
            "video": self.video.relative_to(out).as_posix(),
            "src_image": self.reference.relative_to(out).as_posix(),
            "cloth_image": self.garment.relative_to(out).as_posix(),
            "prompt": {name: list(parts) for name, parts in self.captions.items()},
            "width": clip.width,
            "height": clip.height,
            "frames": clip.frames,
            "rate": clip.rate,
            "type": str(self.type),
            "worn": self.worn,
            "source": clip.video,
            "start_s": round(clip.span.start_s, 3),
            "end_s": round(clip.span.end_s, 3),
        }


def triplets(store: Store) -> Iterator[Triplet]:
    """Of every clip that has passed the last stage, in the order of their names."""
    for clip in store.clips():
        ledger = store.ledger(clip.id)
        if not ledger.passed(Stage.REFERENCE):
            continue
        garment, caption = garment_of(store, clip), ledger.last(Stage.CAPTION, CAPTION)
        reference = ledger.last(Stage.REFERENCE, REFERENCE)
        assert garment is not None
        assert caption is not None
        assert reference is not None
        assert reference.attempt is not None
        yield Triplet(
            clip=clip,
            type=garment.type,
            worn=str(reference.data["garment"]),
            video=store.clip_file(clip.id),
            garment=garment.picture,
            reference=store.reference_file(clip.id, reference.attempt),
            captions=caption.data["captions"],
        )


def chosen(found: Sequence[Triplet], decisions: dict[str, Decision], *, required: bool) -> list[Triplet]:
    """Without the rejected ones; where review is required, the accepted ones alone."""
    if required:
        return [triplet for triplet in found if decisions.get(triplet.clip.id) is Decision.ACCEPT]
    return [triplet for triplet in found if decisions.get(triplet.clip.id) is not Decision.REJECT]


def write_manifest(out: Path, rows: Sequence[Triplet]) -> Path:
    path = out / MANIFEST
    lines = (json.dumps(triplet.row(out), ensure_ascii=False) + "\n" for triplet in rows)
    write_text(path, "".join(lines))
    return path
