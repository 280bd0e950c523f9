"""Hair: what hangs behind the trunk, and what lies on the head."""

from itertools import pairwise
from math import cos, degrees, radians, sin

import skia

from training.world.colour import Rgb, scaled
from training.world.figure import Figure
from training.world.identity import HairStyle, Person
from training.world.paint import Ink, Painter, Part, Path, ellipse, smooth

HEAD_RX, HEAD_RY = 11.0, 14.4
"""The head's half width and half height, in its own frame."""
_COVERING = {HairStyle.LONG, HairStyle.BOB}
_VOLUME = {HairStyle.CURLY: 2.4, HairStyle.LONG: 2.2, HairStyle.BOB: 2.6}
_Line = tuple[tuple[float, float], ...]
_HAIRLINE: _Line = ((0, -8.2), (28, -8.4), (50, -5.5), (66, -0.5), (78, 2.5), (95, 4.5), (120, 9.5), (180, 12.0))
_CURTAIN: _Line = ((0, -9.6), (20, -8.6), (42, -4.5), (60, 2.0), (74, 9.0), (90, 12.0), (180, 14.0))


def draw_back_hair(painter: Painter, figure: Figure, person: Person) -> None:
    """The hair behind the trunk and the head, in the head's frame."""
    style, yaw, sway = person.hair_style, figure.head_yaw, figure.pose.sway
    ink = _hair_ink(scaled(person.hair_colour.value, 0.82))
    back = -7.0 * sin(yaw)
    if style is HairStyle.BUN:
        painter.fill(ellipse(0.8 * back, -17.2, 6.6, 6.2), Part.HEAD, ink)
    elif style is HairStyle.PONYTAIL:
        painter.fill(_tail(back, sway), Part.HEAD, ink)
    elif style is HairStyle.BOB:
        path = skia.Path()
        path.addRRect(skia.RRect.MakeRectXY(skia.Rect.MakeLTRB(back * 0.5 - 14, -14, back * 0.5 + 14, 14.5), 11, 9))
        painter.fill(path, Part.HEAD, ink)
    elif style is HairStyle.LONG:
        path = skia.Path()
        left, right = back * 0.5 - 14.5 + sway, back * 0.5 + 14.5 + sway
        path.addRRect(skia.RRect.MakeRectXY(skia.Rect.MakeLTRB(left, -13, right, 33), 11, 9))
        painter.fill(path, Part.HEAD, ink)
    elif style is HairStyle.CURLY:
        painter.fill(ellipse(back * 0.5, -2, 14.5, 15), Part.HEAD, ink)


def draw_front_hair(painter: Painter, figure: Figure, person: Person) -> None:
    """The hair on the head, in the head's frame."""
    style, yaw = person.hair_style, figure.head_yaw
    volume = _VOLUME.get(style, 1.3)
    ink = _hair_ink(person.hair_colour.value)
    cap = _cap(yaw, volume, _CURTAIN if style in _COVERING else _HAIRLINE)
    painter.fill(cap, Part.HEAD, ink)
    if style is HairStyle.QUIFF:
        painter.fill(_quiff(yaw), Part.HEAD, ink)
    elif style is HairStyle.CURLY:
        painter.fill(_curls(yaw), Part.HEAD, ink)
    elif style is HairStyle.LONG:
        for side in (-1, 1):
            painter.fill(_lock(side, yaw, figure.pose.sway), Part.HEAD, ink)
    shine = skia.Path()
    x = 3.0 * sin(yaw)
    shine.moveTo(-8.2 + x, -8.6 - volume)
    shine.quadTo(-5.0 + x, -13.4 - volume * 0.4, 1.0 + x, -13.6 - volume * 0.4)
    painter.line(shine, scaled(person.hair_colour.value, 1.5), 1.5, 0.45)


def _hair_ink(rgb: Rgb) -> Ink:
    return Ink(rgb, (-6, -14), (9, 16), (1.0, 0.92, 0.74), (0, 0.5, 1))


def _cap(yaw: float, volume: float, line: _Line) -> Path:
    """The skull's upper outline, closed by the hairline as it shows on the turned head."""
    points = []
    for angle in range(90, -91, -15):
        x = (HEAD_RX + 0.4) * sin(radians(angle))
        points.append((x, _height(line, abs(angle - degrees(yaw)))))
    wide, tall = HEAD_RX + volume * 0.8, HEAD_RY + volume
    path = skia.Path()
    path.moveTo(*points[-1])
    path.cubicTo(-wide - 0.6, points[-1][1] - 3, -wide - 1.0, -8.8, -wide * 0.66, -tall * 0.83)
    path.cubicTo(-wide * 0.4, -tall * 1.03, wide * 0.4, -tall * 1.03, wide * 0.66, -tall * 0.83)
    path.cubicTo(wide + 1.0, -8.8, wide + 0.6, points[0][1] - 3, *points[0])
    smooth(path, points)
    path.close()
    return path


def _height(line: _Line, angle: float) -> float:
    for (a0, y0), (a1, y1) in pairwise(line):
        if angle <= a1:
            t = (angle - a0) / (a1 - a0)
            return y0 + (y1 - y0) * t
    return line[-1][1]


def _quiff(yaw: float) -> Path:
    x = 3.4 * sin(yaw)
    path = skia.Path()
    path.moveTo(-10.5 + x, -8.5)
    path.cubicTo(-12.5 + x, -15, -5 + x, -21.5, 4 + x, -19.8)
    path.cubicTo(11.5 + x, -18.8, 12.6 + x, -12, 9.8 + x, -8.4)
    path.cubicTo(5 + x, -11.5, -3 + x, -8.0, -10.5 + x, -8.5)
    path.close()
    return path


def _curls(yaw: float) -> Path:
    path = skia.Path()
    x = -2.5 * sin(yaw)
    for angle in range(-100, 101, 25):
        turned_to = max(0.0, sin(yaw) * angle / 100)  # the side that the face turns to shows fewer
        radius = 5.2 - 4.4 * min(1.0, 1.6 * turned_to)
        path.addCircle(x + 11.8 * sin(radians(angle)), -4.5 - 11.2 * cos(radians(angle)), radius)
    return path


def _lock(side: int, yaw: float, sway: float) -> Path:
    """A lock in front of a shoulder."""
    x = 12.2 * sin(radians(side * 84) + yaw * 0.45)
    full = 1 - 0.75 * max(0.0, side * sin(yaw))  # the side that the face turns to must not hide it
    path = skia.Path()
    path.moveTo(x - side * 1.5 * full, -4)
    path.cubicTo(x + side * 3.6, 4, x + side * 5 + sway, 16, x + side * 2.5 + 2.2 * sway, 33)
    path.cubicTo(x - side * 2 * full + 2 * sway, 31, x - side * 4.6 * full + sway, 22, x - side * 3.6 * full, 8)
    path.close()
    return path


def _tail(back: float, sway: float) -> Path:
    path = skia.Path()
    x = back + 2.0
    path.moveTo(x - 4, -13)
    path.cubicTo(x + 4, -21, x + 15, -14, x + 15 + 2 * sway, -2)
    path.cubicTo(x + 16 + 3 * sway, 8, x + 13 + 5 * sway, 17, x + 9 + 7 * sway, 22)
    path.cubicTo(x + 8 + 4 * sway, 14, x + 7 + 2 * sway, 4, x + 3, -4)
    path.close()
    return path
