"""Which other garment a person may wear in the reference: one of the same type, surely not the same.

A garment's look is its colours in coarse places, so that two pictures of one garment are near and others are not. Among
the garments that differ, each clip gets an order of its own by rendezvous hashing: uses spread evenly, the order does
not depend on when clips are worked on, and a garment more changes it for few.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.frames import Rgb
from curation.roles import Garment, GarmentType
from curation.store import read_picture

_CELLS = 8
_WHITE = 245


def look(picture: Rgb) -> NDArray[np.float32]:
    """[64, 3] in CIELAB / 100: the mean colours of an 8x8 grid over the part that is not white."""
    rows, columns = np.nonzero((picture < _WHITE).any(axis=2))
    if not len(rows):
        return np.ones((_CELLS * _CELLS, 3), np.float32)
    part = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    small = cv2.resize(part, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab.reshape(-1, 3) / 100, np.float32)


def distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The mean distance of colours, in units of 100 Delta E (CIE 1976)."""
    return float(np.linalg.norm(a - b, axis=1).mean())


class Wardrobe:
    """All garment pictures that passed."""

    def __init__(self, garments: Sequence[Garment]) -> None:
        self._garments = {garment.view.clip.id: garment for garment in garments}
        self._looks = {clip: look(read_picture(garment.picture)) for clip, garment in self._garments.items()}
        self._types: dict[GarmentType, list[str]] = {}
        for clip, garment in self._garments.items():
            self._types.setdefault(garment.type, []).append(clip)

    def __contains__(self, clip: str) -> bool:
        return clip in self._garments

    def __getitem__(self, clip: str) -> Garment:
        return self._garments[clip]

    def others(self, clip: str, *, differ: float, most: int) -> list[Garment]:
        """At most `most` garments of the type of the clip's own, from other videos and at least `differ` away from it.

        In the clip's order. Looks are compared until enough are found: there may be tens of thousands.
        """
        own = self._garments[clip]
        ranked = sorted(self._types[own.type], key=lambda other: _rank(clip, other))
        found = (
            self._garments[other]
            for other in ranked
            if self._garments[other].view.clip.video != own.view.clip.video
            and distance(self._looks[other], self._looks[clip]) >= differ
        )
        return list(itertools.islice(found, most))


def _rank(clip: str, other: str) -> bytes:
    return hashlib.blake2b(f"{clip}/{other}".encode(), digest_size=8).digest()
