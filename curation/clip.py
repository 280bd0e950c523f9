"""A subclip of a video, and what a model may look at of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.frames import Frames, Rgb, sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a video, seconds, the end excluded."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s:
            raise ValueError(f"a span from {self.start_s} to {self.end_s} s")

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """`video` is the source's path below the folder of videos; `frames` a second are `rate`, in the subclip's file."""

    id: str
    video: str
    span: Span
    frames: int
    rate: float
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A clip with its file; pixels are decoded when they are asked for."""

    clip: Clip
    file: Path

    @property
    def first(self) -> Rgb:
        (frame,) = sample(self.file, (0,))
        return np.asarray(frame)

    def spread(self, count: int) -> Frames:
        """`count` frames (fewer if there are fewer) evenly from the first to the last, [n, H, W, 3]."""
        last = self.clip.frames - 1
        places = np.linspace(0, last, min(count, self.clip.frames)).round().astype(int)
        return sample(self.file, tuple(places.tolist()))

    def steady(self, rate: float, *, long_side: int) -> tuple[Frames, float]:
        """Frames about `rate` a second, shrunk to `long_side`, and how many seconds lie between two of them."""
        step = max(1, round(self.clip.rate / rate))
        places = tuple(range(0, self.clip.frames, step))
        return sample(self.file, places, long_side=long_side), step / self.clip.rate
