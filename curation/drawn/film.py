"""Films of the drawn world: what is in each shot, what is wrong with it, and the MP4 file with its truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from pydantic import TypeAdapter

from curation.clip import View
from curation.frames import Rgb
from curation.roles import GarmentType
from curation.store import write_text
from training.world import (
    FRAMES_PER_SECOND,
    SIZE,
    Action,
    Garment,
    Motion,
    Outfit,
    Person,
    Pose,
    Sample,
    Scene,
    Split,
    draw_frame,
    draw_sample,
    masks,
)
from training.world import GarmentType as WorldType
from training.world.scene import Wall

_TRUTH = ".truth.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One shot, a function of its seed, and how the models that look at it go wrong.

    Attributes:
        wall: by name; neighbouring shots need walls that differ for a cut to be seen.
        aesthetics, quality: what the scorers say.
        captions, take_off, put_on: what is wrong with each attempt ("" nothing); attempts beyond are right.
    """

    seed: int
    type: GarmentType = GarmentType.UPPER
    wall: str
    seconds: float = 4.0
    action: str = Action.DANCE.value
    persons: int = 1
    still: bool = False
    aesthetics: float = 4.0
    quality: float = 0.8
    captions: tuple[str, ...] = ()
    take_off: tuple[str, ...] = ()
    put_on: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return round(self.seconds * FRAMES_PER_SECOND)

    @property
    def actor(self) -> Actor:
        return _actor(self.seed, self.type, self.wall, self.action)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Actor:
    """Who is seen in a shot, where, wearing and doing what; `garment` is the one that the shot is about."""

    person: Person
    scene: Scene
    outfit: Outfit
    motion: Motion
    garment: Garment

    def frame(self, pose: Pose, size: tuple[int, int], *, outfit: Outfit | None = None) -> Rgb:
        return draw_frame(self.person, self.scene, outfit or self.outfit, pose, size)


@lru_cache(maxsize=256)
def _actor(seed: int, type_: GarmentType, wall: str, action: str) -> Actor:
    sample: Sample = draw_sample(seed, Split.TRAIN, frames=1, kind=WorldType(type_), action=Action(action))
    scene = replace(sample.scene, wall=Wall[wall])
    return Actor(person=sample.person, scene=scene, outfit=sample.outfit, motion=sample.motion, garment=sample.garment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    name: str
    shots: tuple[Shot, ...]


_FILM: TypeAdapter[Film] = TypeAdapter(Film)


def shoot(film: Film, folder: Path, size: tuple[int, int] = SIZE) -> Path:
    """FOLDER/NAME.mp4 (H.264, 12 frames a second) and its truth."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{film.name}.mp4"
    partial = path.with_suffix(".partial")
    with av.open(str(partial), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": "12", "preset": "veryfast"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for shot in film.shots:
            for number in range(shot.frames):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(_draw(shot, number, size), format="rgb24")))
        out.mux(stream.encode())
    write_text(path.with_suffix(_TRUTH), _FILM.dump_json(film, indent=1).decode() + "\n")
    return partial.replace(path)


def _draw(shot: Shot, number: int, size: tuple[int, int]) -> Rgb:
    actor = shot.actor
    pose = _pose(shot, number)
    picture = actor.frame(pose, size)
    for place in range(1, shot.persons):
        picture = _joined(picture, shot, number, size, place)
    return picture


def _joined(picture: Rgb, shot: Shot, number: int, size: tuple[int, int], place: int) -> Rgb:
    """With another person, a quarter of the picture aside."""
    other = _actor(shot.seed + place, GarmentType.UPPER, shot.wall, shot.action)
    pose = other.motion.pose(other.motion.phase(number))
    shift = size[1] // 4 * place
    drawn = np.roll(other.frame(pose, size), shift, axis=1)
    there = np.roll(masks(other.person, other.outfit, pose, size).person, shift, axis=1)
    return np.where(there[..., None], drawn, picture)


def _pose(shot: Shot, number: int) -> Pose:
    motion = shot.actor.motion
    return motion.pose(motion.phase(0 if shot.still else number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a clip's first frame shows: a shot, and how far into it."""

    shot: Shot
    number: int

    @property
    def pose(self) -> Pose:
        return _pose(self.shot, self.number)


def moment(videos: Path, view: View) -> Moment:
    """The truth of a clip's first frame.

    Raises:
        ValueError: the clip's video was not drawn here.
    """
    path = (videos / view.clip.video).with_suffix(_TRUTH)
    if not path.exists():
        raise ValueError(f"{view.clip.video} is no drawn film: there is no {path.name} beside it")
    number = round(view.clip.span.start_s * FRAMES_PER_SECOND)
    for shot in _read(path).shots:
        if number < shot.frames:
            return Moment(shot=shot, number=number)
        number -= shot.frames
    raise ValueError(f"{view.clip.id} begins behind the end of {view.clip.video}")


@lru_cache(maxsize=64)
def _read(path: Path) -> Film:
    return _FILM.validate_json(path.read_bytes())


def fault(faults: Sequence[str], attempt: int) -> str:
    """What is wrong with an attempt, counted from 1."""
    return faults[attempt - 1] if attempt <= len(faults) else ""
