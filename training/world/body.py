"""A person's body: skin, hands, shoes, and the order in which everything is drawn."""

from math import cos, sin

import skia

from training.world.colour import Rgb, scaled
from training.world.figure import Figure, Limb, Vec2, length, stand
from training.world.garment import Form, GarmentType, Length, Sleeve
from training.world.head import draw_back_hair, draw_head
from training.world.identity import Person
from training.world.outfit import Outfit
from training.world.paint import Ink, Painter, Part, Path, across, bone, ellipse, polygon
from training.world.pose import Pose
from training.world.silhouette import outline, trunk_ink
from training.world.wardrobe import (
    draw_full,
    draw_lower,
    draw_sleeve,
    draw_trouser_leg,
    draw_upper,
)  # fmt: skip

_BEHIND = -5.5
"""An arm whose shoulder lies deeper than this is behind the trunk."""


def draw_body(painter: Painter, person: Person, outfit: Outfit, pose: Pose) -> Figure:
    """Draw `person` in `outfit`; returns the figure drawn."""
    figure = stand(person, pose)
    skin = person.skin.value
    draw_back_hair(painter, figure, person)
    for arm in figure.arms:
        if arm.root[2] < _BEHIND:
            _arm(painter, figure, arm, outfit, skin)
    legs = ((figure.left_leg, 1), (figure.right_leg, -1))
    for leg, side in sorted(legs, key=lambda pair: pair[0].root[2]):
        _leg(painter, figure, leg, side, outfit, skin)
    _trunk(painter, figure, skin)
    for garment in outfit.garments:
        if garment.type is GarmentType.LOWER:
            draw_lower(painter, figure, garment)
        elif garment.type is GarmentType.UPPER:
            draw_upper(painter, figure, garment, (scaled(skin, 0.95), Part.BODY))
        else:
            draw_full(painter, figure, garment, (scaled(skin, 0.95), Part.BODY))
    draw_head(painter, figure, person)
    for arm in figure.arms:
        if arm.root[2] >= _BEHIND:
            _arm(painter, figure, arm, outfit, skin)
    return figure


def _trunk(painter: Painter, figure: Figure, skin: Rgb) -> None:
    left, right = (outline(figure, s, 49.0) for s in (-1, 1))
    painter.fill(polygon([*left, *reversed(right)]), Part.BODY, trunk_ink(figure, skin))


def _arm(painter: Painter, figure: Figure, arm: Limb, outfit: Outfit, skin: Rgb) -> None:
    a, b, c = arm.points
    thick = 0.5 + 0.5 * figure.width
    upper, fore = bone(a, b, 5.9 * thick, 5.0 * thick), bone(b, c, 5.0 * thick, 3.9 * thick)
    hand = _hand(arm, thick)
    edge = scaled(skin, 0.66)
    painter.line(hand, edge, 0.9, 0.6)
    if outfit.upper.cut.sleeve is not Sleeve.LONG:
        painter.line(fore, edge, 0.9, 0.6)
        painter.fill(upper, Part.BODY, across(skin, a, b, 5.9))
        painter.fill(fore, Part.BODY, across(skin, b, c, 5.0))
    painter.fill(hand, Part.BODY, across(skin, b, c, 5.0))
    draw_sleeve(painter, figure, arm, outfit.upper)


def _hand(arm: Limb, thick: float) -> Path:
    """A mitten: palm and fingers in line with the forearm, the thumb towards the body's middle."""
    _, b, c = arm.points
    far = max(length(b, c), 8.0)  # a forearm that points at us is short; its hand is not
    dx, dy = (c[0] - b[0]) / far, (c[1] - b[1]) / far

    def at(along: float, aside: float = 0.0) -> Vec2:
        return c[0] + dx * along - dy * aside * -arm.side, c[1] + dy * along + dx * aside * -arm.side

    path = bone(at(4.6), at(9.4), 4.5 * thick, 3.2 * thick)
    path.addPath(bone(c, at(4.6), 3.9 * thick, 4.5 * thick))
    path.addPath(bone(at(2.5, -2.0), at(6.4, -5.2), 1.9, 1.6))
    return path


def _leg(painter: Painter, figure: Figure, leg: Limb, side: int, outfit: Outfit, skin: Rgb) -> None:
    a, b, c = leg.points
    w = figure.width
    if not _covers_legs(outfit):
        for p, q, rp, rq in ((a, b, 8.6, 6.2), (b, c, 6.2, 4.3)):
            painter.fill(bone(p, q, rp * w, rq * w), Part.BODY, across(skin, p, q, rp * w))
    _shoe(painter, figure, leg, side, outfit.shoes)
    if outfit.lower is not None:
        draw_trouser_leg(painter, figure, leg, outfit.lower)


def _covers_legs(outfit: Outfit) -> bool:
    lower = outfit.lower
    return lower is not None and lower.cut.form is Form.TROUSERS and lower.cut.length is not Length.SHORT


def _shoe(painter: Painter, figure: Figure, leg: Limb, side: int, rgb: Rgb) -> None:
    x, y, _ = leg.tip
    turn = figure.pose.yaw * 0.8 + 0.42 * side
    heel = (x - 2.0 * sin(turn), y + 1.4)
    toe = (x + 9.5 * sin(turn), y + 2.4 + 1.0 * cos(turn))
    sole = bone((heel[0], heel[1] + 1.5), (toe[0], toe[1] + 0.9), 4.6, 4.6)
    painter.fill(sole, Part.SHOES, Ink((238, 234, 226)) if sum(rgb) < 540 else Ink((96, 90, 90)))
    painter.fill(bone(heel, toe, 5.2, 4.6), Part.SHOES, across(rgb, heel, toe, 5.2))


def draw_shadow(painter: Painter, figure: Figure) -> None:
    """The soft shadow where the feet meet the floor."""
    if painter.labels:
        return
    left, right = figure.left_leg.tip, figure.right_leg.tip
    x, y = (left[0] + right[0]) / 2 + 3, 178.5
    rx = 25 + abs(left[0] - right[0]) * 0.35
    matrix = skia.Matrix.Translate(x, y)
    matrix.preScale(rx, 5.5)
    soft = skia.GradientShader.MakeRadial(
        skia.Point(0, 0), 1.0, [0x66201828, 0x38201828, 0x00201828], [0, 0.55, 1], skia.TileMode.kClamp, 0, matrix
    )
    painter.tint(ellipse(x, y, rx, 5.5), Ink(soft))
