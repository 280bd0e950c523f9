"""Drawing in figure units on a picture of any size, as a picture or as labels of what is where."""

from enum import IntEnum
from math import atan2, degrees, hypot

import numpy as np
import skia

from training.world.colour import Rgb
from training.world.figure import HEIGHT, WIDTH, Vec2
from training.world.pattern import opaque

Path = skia.Path
Shader = skia.Shader

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


class Painter:
    """A canvas of `size` (rows, columns) whose middle holds the figure's 128x192 units.

    With `labels`, every fill writes its part's number without antialiasing, and details and lines draw nothing: the same
    drawing code gives the picture and its exact visible masks.
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

    def picture(self) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return np.ascontiguousarray(self._pixels[..., :3])

    def label_map(self) -> np.ndarray:
        """uint8 [H, W], values of `Part`."""
        return self._pixels[..., 0].copy()

    def fill(self, path: Path, part: Part, shader: Shader) -> None:
        """Fill with what belongs to the silhouette of `part`."""
        if self.labels:
            value = int(part)
            self.canvas.drawPath(path, skia.Paint(Color=opaque((value, value, value)), AntiAlias=False))
        else:
            self.canvas.drawPath(path, skia.Paint(Shader=shader, AntiAlias=True))

    def detail(self, path: Path, rgb: Rgb, alpha: float = 1.0) -> None:
        """Fill on top of something filled already."""
        if not self.labels:
            self.canvas.drawPath(path, skia.Paint(Color=opaque(rgb), Alphaf=alpha, AntiAlias=True))

    def tint(self, path: Path, shader: Shader) -> None:
        """Like `detail`, with a shader."""
        if not self.labels:
            self.canvas.drawPath(path, skia.Paint(Shader=shader, AntiAlias=True))

    def line(self, path: Path, rgb: Rgb, width: float, alpha: float = 1.0) -> None:
        if not self.labels:
            self.canvas.drawPath(path, _pen(width, Color=opaque(rgb), Alphaf=alpha))

    def line_fading(self, path: Path, width: float, shader: Shader) -> None:
        if not self.labels:
            self.canvas.drawPath(path, _pen(width, Shader=shader))


def _pen(width: float, **colour: object) -> skia.Paint:
    return skia.Paint(
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
        AntiAlias=True,
        **colour,
    )


def solid(rgb: Rgb) -> Shader:
    return skia.Shaders.Color(opaque(rgb))


def across(base: Shader, a: Vec2, b: Vec2, radius: float) -> Shader:
    """`base` on a round limb from `a` to `b`: lighter on the side towards the light, darker on the other."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = hypot(dx, dy) or 1.0
    nx, ny = -dy / far, dx / far
    lit = nx * _LIGHT[0] + ny * _LIGHT[1]
    shades = [_grey(0.9 - 0.2 * lit), _grey(0.97), _grey(0.9 + 0.2 * lit)]
    ends = [
        skia.Point(a[0] - nx * radius, a[1] - ny * radius),
        skia.Point(a[0] + nx * radius, a[1] + ny * radius),
    ]
    return skia.Shaders.Blend(skia.BlendMode.kModulate, base, skia.GradientShader.MakeLinear(ends, shades, [0, 0.5, 1]))


def graded(base: Shader, a: Vec2, b: Vec2, shades: tuple[float, ...], stops: tuple[float, ...] | None = None) -> Shader:
    """`base` times greys from `a` to `b`."""
    gradient = skia.GradientShader.MakeLinear(
        [skia.Point(*a), skia.Point(*b)], [_grey(s) for s in shades], list(stops) if stops else None
    )
    return skia.Shaders.Blend(skia.BlendMode.kModulate, base, gradient)


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
