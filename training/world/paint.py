"""Drawing in figure units on a picture of any size, as a picture or as labels of what is where."""

from enum import IntEnum
from functools import lru_cache
from math import atan2, degrees, hypot
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import skia

from training.world.colour import Rgb
from training.world.figure import HEIGHT, WIDTH, Vec2
from training.world.pattern import opaque

Path: TypeAlias = skia.Path
Base: TypeAlias = Rgb | skia.Shader
"""A colour, or a shader of cloth."""

_LIGHT = (-0.62, -0.55)
"""Towards the light, with the strength of the shading as its length."""


class Part(IntEnum):
    """What a pixel shows; the values of a label picture."""

    SCENE = 0
    BODY = 1
    HEAD = 2
    SHOES = 3
    UPPER = 4
    LOWER = 5
    FULL = 6


class Ink(NamedTuple):
    """A base, times greys that go from `start` to `end` by way of `stops`."""

    base: Base
    start: Vec2 = (0.0, 0.0)
    end: Vec2 = (1.0, 0.0)
    shades: tuple[float, ...] = ()
    stops: tuple[float, ...] | None = None

    def paints(self) -> list[skia.Paint]:
        """To draw with, one after the other."""
        if isinstance(self.base, tuple):
            if not self.shades:
                return [_flat(self.base, 1.0)]
            r, g, b = self.base
            return [self._gradient([opaque((int(r * s), int(g * s), int(b * s))) for s in self.shades])]
        paints = [skia.Paint(Shader=self.base, AntiAlias=True)]
        if self.shades:
            paint = self._gradient([_grey(s) for s in self.shades])
            paint.setBlendMode(skia.BlendMode.kMultiply)
            paints.append(paint)
        return paints

    def _gradient(self, colours: list[int]) -> skia.Paint:
        ends = [skia.Point(*self.start), skia.Point(*self.end)]
        stops = list(self.stops) if self.stops else None
        return skia.Paint(Shader=skia.GradientShader.MakeLinear(ends, colours, stops), AntiAlias=True)


class Painter:
    """A canvas of `size` (rows, columns) whose middle holds the figure's 128x192 units.

    With `labels`, every fill writes its part's number without antialiasing, and details and lines draw nothing: the
    same drawing code gives the picture and its exact visible masks.
    """

    def __init__(self, size: tuple[int, int], *, labels: bool = False) -> None:
        rows, columns = size
        self.size = size
        self.labels = labels
        self.scale = min(rows / HEIGHT, columns / WIDTH)
        self._pixels = np.zeros((rows, columns, 4), np.uint8)
        self.canvas = skia.Canvas(self._pixels, colorType=skia.kRGBA_8888_ColorType)
        self.canvas.translate((columns - WIDTH * self.scale) / 2, (rows - HEIGHT * self.scale) / 2)
        self.canvas.scale(self.scale, self.scale)

    def picture(self) -> npt.NDArray[np.uint8]:
        """uint8 [H, W, 3]."""
        return np.ascontiguousarray(self._pixels[..., :3])

    def label_map(self) -> npt.NDArray[np.uint8]:
        """uint8 [H, W], values of `Part`."""
        return self._pixels[..., 0].copy()

    def fill(self, path: Path, part: Part, ink: Ink) -> None:
        """Fill with what belongs to the silhouette of `part`."""
        if self.labels:
            self.canvas.drawPath(path, _label(int(part)))
        else:
            self.tint(path, ink)

    def detail(self, path: Path, rgb: Rgb, alpha: float = 1.0) -> None:
        """Fill on top of something filled already."""
        if not self.labels:
            self.canvas.drawPath(path, _flat(rgb, alpha))

    def tint(self, path: Path, ink: Ink) -> None:
        """Like `detail`, with a shaded ink."""
        if not self.labels:
            for paint in ink.paints():
                self.canvas.drawPath(path, paint)

    def line(self, path: Path, rgb: Rgb, width: float, alpha: float = 1.0) -> None:
        if not self.labels:
            self.canvas.drawPath(path, _line(rgb, width, alpha))

    def line_fading(self, path: Path, width: float, shader: skia.Shader) -> None:
        if not self.labels:
            self.canvas.drawPath(path, _pen(width, Shader=shader))


@lru_cache(maxsize=16)
def _label(value: int) -> skia.Paint:
    return skia.Paint(Color=opaque((value, value, value)), AntiAlias=False)


@lru_cache(maxsize=1024)
def _flat(rgb: Rgb, alpha: float) -> skia.Paint:
    return skia.Paint(Color=opaque(rgb), Alphaf=alpha, AntiAlias=True)


@lru_cache(maxsize=1024)
def _line(rgb: Rgb, width: float, alpha: float) -> skia.Paint:
    return _pen(width, Color=opaque(rgb), Alphaf=alpha)


def _pen(width: float, **colour: Any) -> skia.Paint:
    return skia.Paint(
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
        AntiAlias=True,
        **colour,
    )


def across(base: Base, a: Vec2, b: Vec2, radius: float) -> Ink:
    """`base` on a round limb from `a` to `b`: lighter on the side towards the light, darker on the other."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = hypot(dx, dy) or 1.0
    nx, ny = -dy / far, dx / far
    lit = nx * _LIGHT[0] + ny * _LIGHT[1]
    start, end = (a[0] - nx * radius, a[1] - ny * radius), (a[0] + nx * radius, a[1] + ny * radius)
    return Ink(base, start, end, (min(1.0, 0.92 - 0.15 * lit), 0.98, min(1.0, 0.92 + 0.15 * lit)))


def _grey(value: float) -> int:
    level = round(255 * min(1.0, max(0.0, value)))
    return opaque((level, level, level))


def bone(a: Vec2, b: Vec2, ra: float, rb: float, *, cap_a: bool = True, cap_b: bool = True) -> Path:
    """A limb's piece: `a` to `b`, tapering from `ra` to `rb`, with round ends where capped."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = hypot(dx, dy) or 1.0
    nx, ny = -dy / far, dx / far
    corners = [
        skia.Point(a[0] + nx * ra, a[1] + ny * ra),
        skia.Point(a[0] - nx * ra, a[1] - ny * ra),
        skia.Point(b[0] - nx * rb, b[1] - ny * rb),
        skia.Point(b[0] + nx * rb, b[1] + ny * rb),
    ]
    path = skia.Path()
    path.addPoly(corners, True)
    if cap_a:
        path.addCircle(a[0], a[1], ra)
    if cap_b:
        path.addCircle(b[0], b[1], rb)
    return path


def bone_frame(a: Vec2, b: Vec2, along: float = 0.0) -> skia.Matrix:
    """The frame of a limb's piece: its origin `along` before `a`, its second axis towards `b`."""
    matrix = skia.Matrix.Translate(*a)
    matrix.preRotate(degrees(atan2(b[1] - a[1], b[0] - a[0])) - 90)
    matrix.preTranslate(0, -along)
    return matrix


def ellipse(x: float, y: float, rx: float, ry: float) -> Path:
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    return path


def polygon(points: list[Vec2]) -> Path:
    path = skia.Path()
    path.addPoly([skia.Point(*p) for p in points], True)
    return path


def smooth(path: Path, points: list[Vec2]) -> None:
    """Go on from the path's last point, which is points[0], through `points` (Catmull-Rom)."""
    for i in range(len(points) - 1):
        before, a, b, after = points[max(i - 1, 0)], points[i], points[i + 1], points[min(i + 2, len(points) - 1)]
        path.cubicTo(
            a[0] + (b[0] - before[0]) / 6, a[1] + (b[1] - before[1]) / 6,
            b[0] - (after[0] - a[0]) / 6, b[1] - (after[1] - a[1]) / 6,
            b[0], b[1],
        )  # fmt: skip


def lerp(a: Vec2, b: Vec2, t: float) -> Vec2:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t
