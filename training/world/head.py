"""Neck, head, face and hair. A feature sits at an angle on the round head, so that it moves as the head turns."""

from itertools import pairwise
from math import cos, degrees, radians, sin

import skia

from training.world.colour import Rgb, mixed, scaled
from training.world.figure import Figure
from training.world.identity import HairStyle, Person, Presentation
from training.world.paint import (
    Ink,
    Painter,
    Part,
    Path,
    across,
    bone,
    ellipse,
    smooth,
)  # fmt: skip

_RX, _RY = 11.0, 14.4
"""The head's half width and half height."""
_COVERING = {HairStyle.LONG, HairStyle.BOB}
_VOLUME = {HairStyle.CURLY: 2.4, HairStyle.LONG: 2.2, HairStyle.BOB: 2.6}
_Line = tuple[tuple[float, float], ...]
_HAIRLINE: _Line = ((0, -8.2), (28, -8.4), (50, -5.5), (66, -0.5), (78, 2.5), (95, 4.5), (120, 9.5), (180, 12.0))
_CURTAIN: _Line = ((0, -9.6), (20, -8.6), (42, -4.5), (60, 2.0), (74, 9.0), (90, 12.0), (180, 14.0))


def draw_back_hair(painter: Painter, figure: Figure, person: Person) -> None:
    """The hair behind the trunk and the head."""
    style, yaw, sway = person.hair_style, figure.head_yaw, figure.pose.sway
    ink = _hair_ink(scaled(person.hair_colour.value, 0.82))
    back = -7.0 * sin(yaw)
    _enter(painter, figure)
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
    painter.canvas.restore()


def draw_head(painter: Painter, figure: Figure, person: Person) -> None:
    """Neck, face and the hair in front."""
    skin, yaw = person.skin.value, figure.head_yaw
    _neck(painter, figure, skin)
    _enter(painter, figure)
    face = _face_path(person, yaw)
    _ears(painter, skin, yaw, in_front=False)
    painter.line(face, scaled(skin, 0.62), 1.0, 0.5)
    painter.fill(face, Part.HEAD, Ink(skin, (-9, -6), (11, 8), (1.0, 1.0, 0.87), (0, 0.45, 1)))
    _ears(painter, skin, yaw, in_front=True)
    if not painter.labels:
        painter.canvas.save()
        painter.canvas.clipPath(face, doAntiAlias=True)
        _features(painter, person, yaw)
        painter.canvas.restore()
    _front_hair(painter, figure, person)
    painter.canvas.restore()


def _enter(painter: Painter, figure: Figure) -> None:
    """Draw in the head's own frame from here on."""
    size = 1.04 * (0.35 + 0.65 * figure.height) * (0.8 + 0.2 * figure.width)
    painter.canvas.save()
    painter.canvas.translate(*figure.head)
    painter.canvas.rotate(degrees(figure.head_roll))
    painter.canvas.scale(size, size)


def _neck(painter: Painter, figure: Figure, skin: Rgb) -> None:
    low, high = figure.on_torso(0, 1.5), (figure.head[0], figure.head[1] + 9)
    path = bone(low, high, 5.6 * figure.width, 5.0)
    painter.fill(path, Part.BODY, across(scaled(skin, 0.93), low, high, 5.6))
    if not painter.labels:
        painter.canvas.save()
        painter.canvas.clipPath(path, doAntiAlias=True)
        painter.detail(ellipse(figure.head[0] + 1.5, figure.head[1] + 9.5, 9.5, 9.0), scaled(skin, 0.7), 0.45)
        painter.canvas.restore()


def _face_path(person: Person, yaw: float) -> Path:
    jaw = 9.3 if person.presentation is Presentation.MAN else 8.2
    chin = 1.8 * sin(yaw)
    path = skia.Path()
    path.moveTo(0, -_RY)
    path.cubicTo(7.6, -_RY, _RX, -8.5, _RX, -1.5)
    path.cubicTo(_RX, 4, jaw + 1.2 + chin * 0.6, 8.2, jaw * 0.72 + chin, 11.6)
    path.cubicTo(jaw * 0.42 + chin, 14.2, 2.0 + chin, _RY, chin, _RY)
    path.cubicTo(-2.0 + chin, _RY, -jaw * 0.42 + chin, 14.2, -jaw * 0.72 + chin, 11.6)
    path.cubicTo(-jaw - 1.2 + chin * 0.6, 8.2, -_RX, 4, -_RX, -1.5)
    path.cubicTo(-_RX, -8.5, -7.6, -_RY, 0, -_RY)
    path.close()
    return path


def _ears(painter: Painter, skin: Rgb, yaw: float, *, in_front: bool) -> None:
    for side in (-1, 1):
        if (-side * sin(yaw) > 0.1) == in_front:
            x = side * 11.2 * cos(yaw)
            painter.fill(ellipse(x, 0.8, 2.4, 3.5), Part.HEAD, Ink(scaled(skin, 0.93)))
            painter.detail(ellipse(x, 1.0, 1.2, 2.0), scaled(skin, 0.72), 0.6)


def _at(angle: float, yaw: float) -> tuple[float, float]:
    """Across the face at `angle` degrees: its x, and how much it faces us."""
    turned = radians(angle) + yaw
    return 10.8 * sin(turned), cos(turned)


def _features(painter: Painter, person: Person, yaw: float) -> None:
    skin = person.skin.value
    dark = mixed(scaled(person.hair_colour.value, 0.8), (40, 30, 30), 0.3)
    if person.beard:
        _beard(painter, person, yaw)
    for side in (-1, 1):
        x, facing = _at(side * 40, yaw)
        if facing > 0.05:
            painter.detail(ellipse(x, 4.6, 3.4 * facing + 0.3, 2.6), (236, 92, 84), 0.2)
        x, facing = _at(side * 25, yaw)
        if facing > 0.05:
            _eye(painter, person, side, x, facing, dark)
    _mouth_and_nose(painter, person, skin, yaw)


def _eye(painter: Painter, person: Person, side: int, x: float, facing: float, dark: Rgb) -> None:
    wide = 0.35 + 0.65 * facing
    painter.detail(ellipse(x, -0.6, 2.6 * wide, 2.15), (252, 250, 246))
    painter.detail(ellipse(x, -0.4, 1.75 * wide, 2.0), person.iris)
    painter.detail(ellipse(x - 0.5, -1.1, 0.55, 0.6), (255, 255, 255), 0.9)
    lid = skia.Path()
    lid.moveTo(x - 2.9 * wide, -1.0)
    lid.quadTo(x, -4.0, x + 2.9 * wide, -1.0)
    painter.line(lid, (48, 34, 34), 1.15 if person.presentation is Presentation.WOMAN else 0.8, 0.9)
    brow = skia.Path()
    brow.moveTo(x - side * 2.5 * wide, -5.6)
    brow.quadTo(x + side * 0.8 * wide, -6.9, x + side * 3.3 * wide, -4.9)
    painter.line(brow, dark, 0.95 * person.brow, 0.85)


def _mouth_and_nose(painter: Painter, person: Person, skin: Rgb, yaw: float) -> None:
    x, _ = _at(0, yaw)
    nose = skia.Path()
    nose.moveTo(x * 1.06, 0.2)
    nose.quadTo(x * 1.16 + 1.9 * (1 if yaw >= 0 else -1) * min(1.0, abs(yaw) * 4), 3.4, x * 1.08 - 0.6, 4.2)
    painter.line(nose, scaled(skin, 0.74), 1.1, 0.9)
    lips = mixed(scaled(skin, 0.72), (206, 52, 62), 0.6 if person.presentation is Presentation.WOMAN else 0.35)
    (a, fa), (b, fb) = _at(-19, yaw), _at(19, yaw)
    if min(fa, fb) < -0.2:
        return
    deep = 1.4 + 2.2 * person.smile
    mouth = skia.Path()
    mouth.moveTo(a, 7.6)
    mouth.quadTo((a + b) / 2, 7.6 + 2 * deep, b, 7.6)
    if person.smile > 0.6:
        mouth.quadTo((a + b) / 2, 8.6, a, 7.6)
        painter.detail(mouth, (255, 250, 246))
    painter.line(mouth, lips, 1.25)


def _beard(painter: Painter, person: Person, yaw: float) -> None:
    top = ((-80, 0.5), (-52, 5.0), (-26, 5.4), (0, 5.2), (26, 5.4), (52, 5.0), (80, 0.5))
    points = [(_at(angle, yaw)[0] * 1.05, y) for angle, y in top]
    path = skia.Path()
    path.moveTo(points[0][0] - 3, 16)
    path.lineTo(*points[0])
    smooth(path, points)
    path.lineTo(points[-1][0] + 3, 16)
    path.close()
    painter.detail(path, mixed(person.hair_colour.value, person.skin.value, 0.16))


def _front_hair(painter: Painter, figure: Figure, person: Person) -> None:
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
        x = (_RX + 0.4) * sin(radians(angle))
        points.append((x, _height(line, abs(angle - degrees(yaw)))))
    wide, tall = _RX + volume * 0.8, _RY + volume
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
