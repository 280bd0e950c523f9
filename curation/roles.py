"""What the stages ask of models: one narrow protocol a role. `models` opens real ones, `drawn` the simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from curation.clip import View
from curation.frames import Frames, Rgb

LANGUAGES = ("cn", "en")
LENGTHS = ("long", "short")
CAPTIONS = tuple(f"{language}_{length}" for language in LANGUAGES for length in LENGTHS)
Captions = Mapping[str, tuple[str, str]]
"""(dynamic, static) by each of `CAPTIONS`."""


class ModelTrouble(Exception):
    """A model gave no usable answer: unreachable, too slow, out of memory, or none of what was asked for.

    It decides nothing about the clip, which is left for the next run.
    """


class GarmentType(StrEnum):
    UPPER = "upper"
    LOWER = "lower"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Garment:
    """A garment picture that passed its check: whose it is, what it shows, and where it lies."""

    view: View
    type: GarmentType
    picture: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureMarks:
    """Of a garment picture beside the frame that it was taken from; each 1 (wrong) to 5 (right)."""

    semantics: int
    texture: int
    context: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceMarks:
    """Of a reference beside the frame that it was made from; each 1 (wrong) to 5 (right)."""

    garment: int
    rest: int


class PersonCounter(Protocol):
    @property
    def name(self) -> str: ...

    def persons(self, view: View, frames: Frames) -> list[int]:
        """How many persons each frame shows."""
        ...


class FlowMeter(Protocol):
    @property
    def name(self) -> str: ...

    def flow(self, frames: Frames) -> list[float]:
        """The mean length of the optical flow between neighbouring frames, pixels; one less than there are frames."""
        ...


class Scorer(Protocol):
    @property
    def name(self) -> str: ...

    def score(self, view: View, frames: Frames) -> float:
        """In the model's own scale."""
        ...


class Captioner(Protocol):
    @property
    def name(self) -> str: ...

    def caption(self, view: View, frames: Frames, *, attempt: int) -> Mapping[str, object]:
        """What the model answered, by `CAPTIONS`; not yet checked."""
        ...


class Dresser(Protocol):
    @property
    def name(self) -> str: ...

    def take_off(self, view: View, *, attempt: int) -> Rgb:
        """The first frame's main garment alone, flat on white; other noise for each attempt, from 1."""
        ...

    def put_on(self, view: View, garment: Garment, *, attempt: int) -> Rgb:
        """The first frame [H, W, 3] with `garment` worn in place of the one of its type."""
        ...


class Inspector(Protocol):
    @property
    def name(self) -> str: ...

    def picture(self, view: View, picture: Rgb) -> PictureMarks: ...

    def classify(self, view: View, picture: Rgb) -> GarmentType: ...

    def compatible(self, view: View, garment: Garment) -> int:
        """1 (this person would not wear it) to 5."""
        ...

    def reference(self, view: View, garment: Garment, reference: Rgb) -> ReferenceMarks: ...


class Cast(Protocol):
    """Who fills the roles; None: the filter is not judged. A model is loaded when its role is first asked for."""

    @property
    def person(self) -> PersonCounter | None: ...

    @property
    def flow(self) -> FlowMeter | None: ...

    @property
    def aesthetics(self) -> Scorer | None: ...

    @property
    def quality(self) -> Scorer | None: ...

    @property
    def captioner(self) -> Captioner: ...

    @property
    def inspector(self) -> Inspector: ...

    @property
    def dresser(self) -> Dresser: ...
