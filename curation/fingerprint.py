"""Which clips show the same: perceptual hashes of a few frames, compared bit by bit."""

from __future__ import annotations

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.clip import View

FRAMES = 5
_BYTES = FRAMES * 8
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)
"""How many bits of a byte are set."""


def fingerprint(view: View) -> str:
    """The DCT hashes of five frames, 64 bits each, as hexadecimal digits."""
    return "".join(str(imagehash.phash(Image.fromarray(frame))) for frame in view.spread(FRAMES))


class Seen:
    """Fingerprints of the clips that were kept, with their videos.

    Clips of one video are never each other's duplicates: a calm person in front of one wall looks alike all along.
    """

    def __init__(self) -> None:
        self._clips: list[str] = []
        self._videos: dict[str, int] = {}
        # Rows beyond the last clip are room to grow.
        self._prints = np.zeros((64, _BYTES), np.uint8)
        self._sources = np.zeros(64, np.int64)

    def add(self, clip: str, video: str, print_: str) -> None:
        place = len(self._clips)
        if place == len(self._prints):
            self._prints = np.concatenate((self._prints, np.zeros_like(self._prints)))
            self._sources = np.concatenate((self._sources, np.zeros_like(self._sources)))
        self._prints[place] = _packed(print_)
        self._sources[place] = self._videos.setdefault(video, len(self._videos))
        self._clips.append(clip)

    def nearest(self, video: str, print_: str) -> tuple[str, float] | None:
        """The clip of another video that is most alike, and in how many bits a frame they differ on average."""
        count = len(self._clips)
        bits = _ONES[self._prints[:count] ^ _packed(print_)].sum(axis=1)
        elsewhere = np.flatnonzero(self._sources[:count] != self._videos.get(video, -1))
        if not len(elsewhere):
            return None
        place = elsewhere[bits[elsewhere].argmin()]
        return self._clips[place], float(bits[place]) / FRAMES


def _packed(print_: str) -> NDArray[np.uint8]:
    # Short clips have fewer frames than asked for: all prints are compared at full length.
    return np.frombuffer(bytes.fromhex(print_).ljust(_BYTES, b"\0"), np.uint8)
