"""Which other garment a person may wear in the reference: one of the same type, surely not the same.

A garment's look is its colours in coarse places, so that two pictures of one garment are near and others are not. Among
the garments that differ, each clip gets an order of its own by rendezvous hashing: uses spread evenly, the order does
not depend on when clips are worked on, and a garment more changes it for few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.frames import Rgb
from curation.roles import Garment
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

    def __contains__(self, clip: str) -> bool:
        return clip in self._garments

    def __getitem__(self, clip: str) -> Garment:
        return self._garments[clip]

    def others(self, clip: str, *, differ: float) -> list[Garment]:
        """Garments of the type of the clip's own, at least `differ` away from it, in the clip's order."""
        own = self._garments[clip]
        found = [
            garment
            for other, garment in self._garments.items()
            if garment.type is own.type
            and garment.view.clip.video != own.view.clip.video
            and distance(self._looks[other], self._looks[clip]) >= differ
        ]
        return sorted(found, key=lambda garment: _rank(clip, garment.view.clip.id))


def _rank(clip: str, other: str) -> bytes:
    return hashlib.blake2b(f"{clip}/{other}".encode(), digest_size=8).digest()
