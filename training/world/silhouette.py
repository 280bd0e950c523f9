"""The body's outline as cloth sees it: how wide it is where, where hems hang, how the trunk is lit."""

from itertools import pairwise
from math import cos, sin, sqrt

import skia

from training.world.figure import Figure, Limb, Vec2
from training.world.paint import Base, Ink, lerp

WAIST, HIP = 35.0, 47.0
"""How far below the neck's base they are, figure units."""
_DEPTH = 0.64
"""The body's depth over its width."""


def girth(figure: Figure) -> float:
    """How wide the turned body looks, over how wide it is."""
    yaw = figure.pose.yaw
    return sqrt(cos(yaw) ** 2 + (_DEPTH * sin(yaw)) ** 2)


def flank(figure: Figure, side: int, half: float, v: float) -> Vec2:
    """The point of the torso's outline `v` below the neck's base, on the viewer's right for side 1."""
    tilt = side * half * sin(figure.pose.hip_roll) * max(0.0, (v - 30) / 20)
    return figure.on_torso(side * half * figure.width * girth(figure), v * figure.height + tilt)


def halves(figure: Figure) -> tuple[tuple[float, float], ...]:
    """(half width, v) of the bare torso below the armpit."""
    if figure.bust:
        return (16.0, 14.0), (16.0, 21.0), (13.6, 33.0), (17.0, 47.0)
    return (17.2, 14.0), (17.0, 21.0), (15.4, 34.0), (16.4, 47.0)


def outline(figure: Figure, side: int, down_to: float, *, ease: float = 0.0, strap: bool = False) -> list[Vec2]:
    """The torso's outline on one side, from the neck to `down_to`; `ease` is how loosely the cloth falls."""
    limb = _side_arm(figure, side)
    root = limb.root
    neck = figure.on_torso(side * 6.0 * girth(figure), -1.0 * figure.height)
    inset = -side * 4.0 * girth(figure) if strap else side * 0.6
    tip = (
        root[0] + inset * figure.across[0] - (5.6 if strap else 5.4) * figure.down[0],
        root[1] + inset * figure.across[1] - (5.6 if strap else 5.4) * figure.down[1],
    )
    points = [neck, tip]
    shape = halves(figure)
    points += [flank(figure, side, half + ease, v) for half, v in shape if v < down_to - 2]
    points.append(flank(figure, side, half_at(shape, down_to) + ease, down_to))
    return points


def _side_arm(figure: Figure, side: int) -> Limb:
    return figure.left_arm if side > 0 else figure.right_arm


def half_at(shape: tuple[tuple[float, float], ...], v: float) -> float:
    """The half width at `v`, between the points of `shape`."""
    if v >= shape[-1][1]:
        return shape[-1][0]
    for (h0, v0), (h1, v1) in pairwise(shape):
        if v <= v1:
            return h0 + (h1 - h0) * (v - v0) / (v1 - v0)
    raise AssertionError("unreachable: v is below the last point")


def at_leg(limb: Limb, share: float) -> Vec2:
    """The point `share` of the way from hip to ankle."""
    hip, knee, ankle = limb.points
    return lerp(hip, knee, share * 2) if share < 0.5 else lerp(knee, ankle, share * 2 - 1)


def hem(figure: Figure, share: float, flare: float) -> tuple[Vec2, Vec2]:
    """Where a skirt's hem ends on the viewer's left and right: outside of both legs, swinging a little late."""
    a, b = (at_leg(limb, share) for limb in (figure.right_leg, figure.left_leg))
    reach = (8.6 - 2.6 * share) * figure.width + flare
    leans = 1 / (1 + 2.0 ** ((b[0] - a[0]) * 0.8))  # 0 where b is well to the right of a
    y_left, y_right = a[1] + (b[1] - a[1]) * leans, b[1] + (a[1] - b[1]) * leans
    swing = figure.pose.sway * (0.8 + 2.2 * share)
    return (min(a[0], b[0]) - reach + swing, y_left), (max(a[0], b[0]) + reach + swing, y_right)


def slide(figure: Figure) -> float:
    """How far a point on the body's front moves aside as the body turns, over half its width."""
    return _DEPTH * sin(figure.pose.yaw)


def torso_frame(figure: Figure) -> skia.Matrix:
    """The frame of the cloth on the chest: foreshortened by the turn, and moved by it."""
    yaw = figure.pose.yaw
    origin = figure.on_torso(8.0 * slide(figure), 0.0)
    ax, dx = figure.across, figure.down
    squeeze = max(0.35, cos(yaw))
    return skia.Matrix.MakeAll(ax[0] * squeeze, dx[0], origin[0], ax[1] * squeeze, dx[1], origin[1], 0, 0, 1)


def trunk_ink(figure: Figure, base: Base) -> Ink:
    """`base` on the trunk, lit from the viewer's left."""
    g = girth(figure) * 19 * figure.width
    return Ink(base, figure.on_torso(-g, 0), figure.on_torso(g, 6), (0.95, 1.0, 0.97, 0.8), (0, 0.3, 0.6, 1))
