"""Neck, head, face and hair. A feature sits at an angle on the round head, so that it moves as the head turns."""

from math import cos, degrees, radians, sin

import skia

from training.world import hair
from training.world.colour import Rgb, mixed, scaled
from training.world.figure import Figure
from training.world.hair import HEAD_RX, HEAD_RY
from training.world.identity import Person, Presentation
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


def draw_back_hair(painter: Painter, figure: Figure, person: Person) -> None:
    """To be drawn before the trunk."""
    _enter(painter, figure)
    hair.draw_back_hair(painter, figure, person)
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
    hair.draw_front_hair(painter, figure, person)
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
    path.moveTo(0, -HEAD_RY)
    path.cubicTo(7.6, -HEAD_RY, HEAD_RX, -8.5, HEAD_RX, -1.5)
    path.cubicTo(HEAD_RX, 4, jaw + 1.2 + chin * 0.6, 8.2, jaw * 0.72 + chin, 11.6)
    path.cubicTo(jaw * 0.42 + chin, 14.2, 2.0 + chin, HEAD_RY, chin, HEAD_RY)
    path.cubicTo(-2.0 + chin, HEAD_RY, -jaw * 0.42 + chin, 14.2, -jaw * 0.72 + chin, 11.6)
    path.cubicTo(-jaw - 1.2 + chin * 0.6, 8.2, -HEAD_RX, 4, -HEAD_RX, -1.5)
    path.cubicTo(-HEAD_RX, -8.5, -7.6, -HEAD_RY, 0, -HEAD_RY)
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
