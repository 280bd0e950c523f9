"""The roles, played from the truth. Pictures are judged by their pixels beside what should have been drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curation.clip import View
from curation.drawn.film import Moment, fault, moment
from curation.frames import Frames, Rgb
from curation.roles import Garment, GarmentType, PictureMarks, ReferenceMarks
from training.world import (
    Action,
    Form,
    Length,
    Outfit,
    Split,
    draw_garment,
    dynamic_caption,
    garment_phrase,
    masks,
    product_picture,
    static_caption,
    wear,
)
from training.world import Garment as WorldGarment
from training.world import GarmentType as WorldType
from training.world.identity import Presentation
from training.world.scene import Wall

RIGHT, WRONG = 5, 1
_WHITE = 245
_SAME = 8.0
"""Mean difference of grey values up to which pictures are the same."""
_CHINESE = {
    Action.SWAY: "轻轻摇摆",
    Action.WALK: "原地行走",
    Action.TURN: "来回转身",
    Action.WAVE: "挥手",
    Action.DANCE: "跳舞",
    Action.RAISE: "举起双臂",
}


class Drawn:
    """What all roles know: where the films lie."""

    name: ClassVar[str] = "drawn (simulation)"

    def __init__(self, videos: Path) -> None:
        self._videos = videos

    def _moment(self, view: View) -> Moment:
        return moment(self._videos, view)

    def _dressed(self, view: View, garment: Garment) -> tuple[Moment, Outfit, WorldGarment]:
        """The clip's moment, the outfit with another clip's garment, and that garment."""
        other, here = self._moment(garment.view).shot.actor.garment, self._moment(view)
        return here, wear(here.shot.actor.outfit, other), other


class DrawnCounter(Drawn):
    def persons(self, view: View, frames: Frames) -> list[int]:
        return [self._moment(view).shot.persons] * len(frames)


class DrawnScorer(Drawn):
    """`score` is the shot's attribute of that name: "aesthetics" or "quality"."""

    def __init__(self, videos: Path, attribute: str) -> None:
        super().__init__(videos)
        self._attribute = attribute

    def score(self, view: View, frames: Frames) -> float:
        return float(getattr(self._moment(view).shot, self._attribute))


class DrawnCaptioner(Drawn):
    def caption(self, view: View, frames: Frames, *, attempt: int) -> Mapping[str, object]:
        here = self._moment(view)
        actor, wrong = here.shot.actor, fault(here.shot.captions, attempt)
        static = static_caption(actor.scene, actor.person, actor.outfit)
        dynamic = dynamic_caption(actor.person, actor.motion, None)
        action = f"人物{_CHINESE[actor.motion.action]}"
        captions: dict[str, object] = {
            "cn_long": [f"{action}。镜头固定不动。", "室内场景。一位人物站在房间中央。全身可见。"],
            "cn_short": [f"{action}。", "室内场景。一位人物。"],
            "en_long": [dynamic, static],
            "en_short": [dynamic, f"{garment_phrase(actor.garment).capitalize()}."],
        }
        if wrong == "missing":
            del captions["cn_long"]
        if wrong == "language":
            captions["cn_short"] = captions["en_short"]
        return captions


class DrawnDresser(Drawn):
    def take_off(self, view: View, *, attempt: int) -> Rgb:
        here, size = self._moment(view), _size(view)
        garment, wrong = here.shot.actor.garment, fault(here.shot.take_off, attempt)
        if wrong == "semantics":
            kind = WorldType.LOWER if garment.type is not WorldType.LOWER else WorldType.UPPER
            return product_picture(draw_garment(Random(0), Split.TRAIN, kind), size)
        if wrong == "texture":
            swapped = replace(garment, rgb=garment.second_rgb, second_rgb=garment.rgb)
            return product_picture(swapped, size)
        picture = product_picture(garment, size)
        if wrong == "context":
            picture[:, : size[1] // 10] = here.shot.actor.frame(here.pose, size)[:, : size[1] // 10]
        return picture

    def put_on(self, view: View, garment: Garment, *, attempt: int) -> Rgb:
        here, outfit, _ = self._dressed(view, garment)
        actor, wrong = here.shot.actor, fault(here.shot.put_on, attempt)
        if wrong == "garment":
            return actor.frame(here.pose, _size(view))
        if wrong == "rest":
            wall = next(wall for wall in (Wall.SLATE, Wall.CREAM) if wall is not actor.scene.wall)
            actor = replace(actor, scene=replace(actor.scene, wall=wall))
        return actor.frame(here.pose, _size(view), outfit=outfit)


class DrawnInspector(Drawn):
    def picture(self, view: View, picture: Rgb) -> PictureMarks:
        right = product_picture(self._moment(view).shot.actor.garment, _size(view))
        cloth, shown = _not_white(right), _not_white(picture)
        return PictureMarks(
            semantics=_mark((shown & cloth).sum() > 0.95 * cloth.sum()),
            texture=_mark(_difference(picture, right, cloth) <= _SAME),
            context=_mark((shown & ~cloth).sum() < 0.02 * cloth.sum()),
        )

    def classify(self, view: View, picture: Rgb) -> GarmentType:
        return self._moment(view).shot.type

    def compatible(self, view: View, garment: Garment) -> int:
        """Men of the drawn world wear neither skirts nor cropped tops."""
        here, _, other = self._dressed(view, garment)
        cropped = other.cut.form is None and other.cut.length is Length.SHORT
        womens = other.cut.form is Form.SKIRT or cropped
        return _mark(here.shot.actor.person.presentation is Presentation.WOMAN or not womens)

    def reference(self, view: View, garment: Garment, reference: Rgb) -> ReferenceMarks:
        here, outfit, other = self._dressed(view, garment)
        actor, size = here.shot.actor, _size(view)
        right = actor.frame(here.pose, size, outfit=outfit)
        worn, before = (
            masks(actor.person, clothes, here.pose, size).garment(other.type) for clothes in (outfit, actor.outfit)
        )
        return ReferenceMarks(
            garment=_mark(_difference(reference, right, worn) <= _SAME),
            rest=_mark(_difference(reference, right, ~(worn | before)) <= _SAME),
        )


def _size(view: View) -> tuple[int, int]:
    return view.clip.height, view.clip.width


def _mark(right: bool | np.bool_) -> int:
    return RIGHT if right else WRONG


def _not_white(picture: Rgb) -> NDArray[np.bool_]:
    return np.asarray((picture < _WHITE).any(axis=2))


def _difference(a: Rgb, b: Rgb, where: NDArray[np.bool_]) -> float:
    return float(np.abs(a[where].astype(int) - b[where].astype(int)).mean())
