"""What a session is asked to do, and what came of it: the seam between the measurements and what makes the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contract.cache_plan import Policy
from contract.geometry import StudentGeometry
from evaluation.metrics.arrays import Frames

Picture = NDArray[np.uint8]
"""[H, W, 3], sRGB, of the student's frame size: no driver scales it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opening:
    """How a session begins; scripts that share one (the same object) share the frames before their switch."""

    person: Picture
    garment: Picture
    prompt: str
    seed: int

    def __post_init__(self) -> None:
        if self.seed < 1:
            raise ValueError(f"a session's seed must be positive, got {self.seed}: to the service 0 means any")
        if self.person.shape != self.garment.shape:
            raise ValueError(f"person {self.person.shape} and garment {self.garment.shape} differ in size")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Switch:
    """A garment switch before chunk `chunk` of the session. `prompt` None: the prompt stays."""

    chunk: int
    garment: Picture
    policy: Policy
    prompt: str | None = None

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"a switch comes after at least one chunk, got chunk {self.chunk}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Script:
    """A session of `chunks` chunks with at most one switch."""

    opening: Opening
    chunks: int
    switch: Switch | None = None

    def __post_init__(self) -> None:
        if self.chunks < 1 or (self.switch and self.switch.chunk >= self.chunks):
            raise ValueError(f"the switch must come before the last of {self.chunks} chunks")

    def starts(self, geometry: StudentGeometry) -> tuple[int, ...]:
        """The first frame of each chunk, counted over the session, and behind them the number of frames."""
        starts = [0]
        for chunk in range(self.chunks):
            first = chunk == 0
            if self.switch and chunk == self.switch.chunk:
                first = self.switch.policy.restarts_video
            starts.append(starts[-1] + geometry.video_frames(first_chunk_of_segment=first))
        return tuple(starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What a script gave: frames [n, H, W, 3] and the first frame of each chunk."""

    frames: Frames
    starts: tuple[int, ...]

    def chunk(self, number: int) -> Frames:
        bounds = (*self.starts, len(self.frames))
        return self.frames[bounds[number] : bounds[number + 1]]


class Driver(Protocol):
    """Plays scripts."""

    @property
    def geometry(self) -> StudentGeometry: ...

    def play(self, scripts: Sequence[Script]) -> list[Clip]:
        """The scripts' clips, in order."""
        ...
