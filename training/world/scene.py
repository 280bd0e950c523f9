"""Backgrounds: a calm room, one or two large things at its sides."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import lru_cache
from random import Random

import numpy as np
import numpy.typing as npt
import skia

from training.world.colour import Rgb, scaled
from training.world.paint import Ink, Painter, ellipse, polygon

HORIZON = 152.0
"""Where the floor meets the wall, figure units."""


class Wall(Enum):
    CREAM = (240, 230, 212)
    BLUSH = (240, 214, 206)
    SAGE = (206, 220, 204)
    MIST = (208, 220, 230)
    LILAC = (222, 214, 232)
    SAND = (230, 214, 188)
    SLATE = (120, 136, 150)
    CLAY = (198, 150, 128)


class Floor(Enum):
    OAK = (206, 168, 128)
    WALNUT = (142, 104, 80)
    STONE = (188, 188, 186)
    CARPET = (168, 160, 178)


class Prop(StrEnum):
    WINDOW = "window"
    PLANT = "plant"
    PICTURE = "picture"
    LAMP = "lamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A room; `left` and `right` are what stands or hangs on the viewer's left and right."""

    wall: Wall
    floor: Floor
    left: Prop | None
    right: Prop | None


def draw_scene(draw: Random) -> Scene:
    props = [*Prop, None, None]
    left = draw.choice(props)
    right = draw.choice([p for p in props if p is None or p is not left])
    return Scene(wall=draw.choice(list(Wall)), floor=draw.choice(list(Floor)), left=left, right=right)


@lru_cache(maxsize=32)
def background(scene: Scene, size: tuple[int, int]) -> skia.Image:
    """The room alone, drawn once for all frames of a clip."""
    painter = Painter(size)
    big = 4096.0
    wall, floor = scene.wall.value, scene.floor.value
    painter.tint(_box(-big, -big, big, HORIZON), Ink(wall, (10, 0), (110, 160), (1.0, 0.9)))
    painter.tint(_box(-big, HORIZON, big, big), Ink(floor, (64, HORIZON), (64, 192), (0.9, 1.0)))
    painter.detail(_box(-big, HORIZON - 4, big, HORIZON), scaled(wall, 1.55))
    painter.detail(_box(-big, HORIZON, big, HORIZON + 1.2), scaled(floor, 0.72))
    for prop, x in ((scene.left, 16.0), (scene.right, 112.0)):
        if prop is not None:
            _PROPS[prop](painter, x, wall)
    return skia.Image.fromarray(_rgba(painter.picture()), skia.kRGBA_8888_ColorType)


def _rgba(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))


def _box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    path = skia.Path()
    path.addRRect(skia.RRect.MakeRectXY(skia.Rect.MakeLTRB(left, top, right, bottom), radius, radius))
    return path


def _window(painter: Painter, x: float, wall: Rgb) -> None:
    painter.detail(_box(x - 22, 26, x + 22, 98, 2), scaled(wall, 1.7))
    glass = Ink((180, 218, 244), (x, 29), (x, 95), (0.93, 1.0))
    painter.tint(_box(x - 19, 29, x + 19, 95), glass)
    painter.detail(_box(x - 1.2, 29, x + 1.2, 95), scaled(wall, 1.7))
    painter.detail(_box(x - 19, 60, x + 19, 62.4), scaled(wall, 1.7))
    painter.detail(_box(x - 24, 97, x + 24, 101, 1), scaled(wall, 0.84))


def _plant(painter: Painter, x: float, wall: Rgb) -> None:
    painter.detail(ellipse(x + 2, 163, 14, 3.4), (40, 30, 30), 0.22)
    for lean, top, rgb in (
        (-13, 92, (58, 124, 84)),
        (13, 96, (74, 146, 96)),
        (-5, 78, (86, 158, 104)),
        (7, 84, (64, 134, 90)),
    ):
        leaf = skia.Path()
        leaf.moveTo(x, 144)
        leaf.quadTo(x + lean * 1.5 - 6, (144 + top) / 2, x + lean, top)
        leaf.quadTo(x + lean * 1.2 + 9, (144 + top) / 2, x, 144)
        painter.detail(leaf, rgb)
    painter.tint(
        polygon([(x - 11, 140), (x + 11, 140), (x + 8.5, 163), (x - 8.5, 163)]),
        Ink((226, 222, 214), (x - 11, 150), (x + 11, 150), (1.0, 0.78)),
    )


def _picture(painter: Painter, x: float, wall: Rgb) -> None:
    painter.detail(_box(x - 14, 38, x + 14, 80, 1), (84, 68, 62))
    painter.detail(_box(x - 11.5, 40.5, x + 11.5, 77.5), (246, 240, 230))
    painter.detail(ellipse(x + 2, 54, 6, 6), (232, 150, 96))
    painter.detail(
        polygon([(x - 11.5, 77.5), (x - 11.5, 66), (x - 2, 60), (x + 11.5, 70), (x + 11.5, 77.5)]), (88, 128, 140)
    )


def _lamp(painter: Painter, x: float, wall: Rgb) -> None:
    painter.detail(ellipse(x + 2, 164, 11, 2.8), (40, 30, 30), 0.22)
    matrix = skia.Matrix.Translate(x, 74)
    matrix.preScale(44, 44)
    glow = skia.GradientShader.MakeRadial(
        skia.Point(0, 0), 1.0, [0x70FFF0C8, 0x00FFF0C8], None, skia.TileMode.kClamp, 0, matrix
    )
    painter.tint(ellipse(x, 74, 44, 44), Ink(glow))
    painter.detail(_box(x - 1.3, 80, x + 1.3, 162), (92, 80, 78))
    painter.detail(ellipse(x, 162.5, 9, 2.4), (92, 80, 78))
    shade = Ink((252, 224, 164), (x - 14, 72), (x + 14, 72), (1.0, 0.9))
    painter.tint(polygon([(x - 8.5, 60), (x + 8.5, 60), (x + 14, 84), (x - 14, 84)]), shade)


_PROPS: dict[Prop, Callable[[Painter, float, Rgb], None]] = {
    Prop.WINDOW: _window,
    Prop.PLANT: _plant,
    Prop.PICTURE: _picture,
    Prop.LAMP: _lamp,
}
