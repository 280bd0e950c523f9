"""Which clips show the same: perceptual hashes of a few frames, compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterable

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.clip import View

FRAMES = 5


def fingerprint(view: View) -> str:
    """The DCT hashes of five frames, 64 bits each, as hexadecimal digits."""
    return "".join(str(imagehash.phash(Image.fromarray(frame))) for frame in view.spread(FRAMES))


class Seen:
    """Fingerprints of the clips that were kept, with their videos.

    Clips of one video are never each other's duplicates: a calm person in front of one wall looks alike all along.
    """

    def __init__(self) -> None:
        self._bits: list[NDArray[np.uint8]] = []
        self._clips: list[tuple[str, str]] = []

    def add(self, clip: str, video: str, print_: str) -> None:
        self._bits.append(_bits(print_))
        self._clips.append((clip, video))

    def nearest(self, video: str, print_: str) -> tuple[str, float] | None:
        """The clip of another video that is most alike, and in how many bits a frame they differ on average."""
        if not self._bits:
            return None
        distances = np.count_nonzero(np.stack(self._bits) != _bits(print_), axis=1) / FRAMES
        found = min(self._others(video, distances), default=None)
        return None if found is None else (found[1], found[0])

    def _others(self, video: str, distances: NDArray[np.float64]) -> Iterable[tuple[float, str]]:
        for (clip, source), distance in zip(self._clips, distances, strict=True):
            if source != video:
                yield float(distance), clip


def _bits(print_: str) -> NDArray[np.uint8]:
    # Short clips have fewer frames than asked for: all prints are compared at full length.
    whole = bytes.fromhex(print_).ljust(FRAMES * 8, b"\0")
    return np.unpackbits(np.frombuffer(whole, np.uint8))
