"""Garments drawn on a figure: on a person's body, or on the flat figure of a product picture."""

import skia

from training.world.colour import Rgb, mixed, scaled
from training.world.figure import Figure, Limb, Vec2, length
from training.world.garment import Collar, Form, Garment, GarmentType, Length, Pattern, Sleeve
from training.world.paint import (
    Ink,
    Painter,
    Part,
    Path,
    across,
    bone,
    bone_frame,
    lerp,
    polygon,
    smooth,
)  # fmt: skip
from training.world.pattern import cloth, logo
from training.world.silhouette import (
    HIP,
    WAIST,
    flank,
    girth,
    half_at,
    halves,
    hem,
    outline,
    slide,
    torso_frame,
    trunk_ink,
)

PARTS = {GarmentType.UPPER: Part.UPPER, GarmentType.LOWER: Part.LOWER, GarmentType.FULL: Part.FULL}
Inside = tuple[Rgb, Part]
"""What a collar's opening shows: the skin, or the cloth's own back."""
_HEM_OF_SKIRT = {Length.SHORT: 0.4, Length.REGULAR: 0.6, Length.LONG: 0.88}
_HEM_OF_UPPER = {Length.SHORT: 33.0, Length.REGULAR: 49.0}
_LONG_UPPER = 0.2
_ARM = (6.9, 6.1, 5.5)


def draw_upper(painter: Painter, figure: Figure, garment: Garment, inside: Inside) -> None:
    """A top without its sleeves."""
    strap = garment.cut.sleeve is Sleeve.NONE
    if garment.cut.length is Length.LONG:
        low = hem(figure, _LONG_UPPER, 3.2)
        sides = [outline(figure, s, HIP, ease=2.2, strap=strap) for s in (-1, 1)]
        left, right = [*sides[0], low[0]], [*sides[1], low[1]]
    else:
        at = _HEM_OF_UPPER[garment.cut.length]
        left, right = (outline(figure, s, at, ease=1.2, strap=strap) for s in (-1, 1))
    _trunk(painter, figure, garment, inside, left, right)


def draw_full(painter: Painter, figure: Figure, garment: Garment, inside: Inside) -> None:
    """A dress without its sleeves."""
    strap = garment.cut.sleeve is Sleeve.NONE
    share = _HEM_OF_SKIRT[garment.cut.length]
    low = hem(figure, share, 3.2 + 3.0 * share)
    left, right = (outline(figure, s, HIP, ease=0.8, strap=strap) for s in (-1, 1))
    _trunk(painter, figure, garment, inside, [*left, low[0]], [*right, low[1]])


def _trunk(
    painter: Painter, figure: Figure, garment: Garment, inside: Inside, left: list[Vec2], right: list[Vec2]
) -> None:
    path = skia.Path()
    path.moveTo(*left[0])
    path.lineTo(*left[1])
    smooth(path, left[1:])
    _hem_curve(path, left[-1], right[-1])
    back = right[:0:-1]
    smooth(path, back)
    path.lineTo(*right[0])
    path.close()
    _cloth(painter, figure, garment, path)
    _mark(painter, figure, garment, path, 22.0)
    _collar(painter, figure, garment, inside)
    _hem_line(painter, garment, left[-1], right[-1])


def _cloth(painter: Painter, figure: Figure, garment: Garment, path: Path) -> None:
    painter.line(path, scaled(garment.rgb, 0.7), 1.0, 0.85)
    part = PARTS[garment.type]
    painter.fill(path, part, trunk_ink(figure, cloth(garment, torso_frame(figure))))


def _mark(painter: Painter, figure: Figure, garment: Garment, inside_of: Path, v: float) -> None:
    if garment.pattern is not Pattern.LOGO or painter.labels:
        return
    path = logo(0.0, v * figure.height, 10.5)
    path.transform(torso_frame(figure))
    painter.canvas.save()
    painter.canvas.clipPath(inside_of, doAntiAlias=True)
    painter.tint(path, trunk_ink(figure, garment.second_rgb))
    painter.canvas.restore()


def _hem_curve(path: Path, a: Vec2, b: Vec2) -> None:
    middle = lerp(a, b, 0.5)
    path.quadTo(middle[0], middle[1] + 0.14 * abs(b[0] - a[0]), *b)


def _hem_line(painter: Painter, garment: Garment, a: Vec2, b: Vec2) -> None:
    if painter.labels:
        return
    path = skia.Path()
    path.moveTo(a[0] + 0.8, a[1] - 2.2)
    _hem_curve(path, (a[0] + 0.8, a[1] - 2.2), (b[0] - 0.8, b[1] - 2.2))
    painter.line(path, scaled(garment.rgb, 0.55), 0.8, 0.45)


def _collar(painter: Painter, figure: Figure, garment: Garment, inside: Inside) -> None:
    """The opening at the neck and what edges it."""
    kind, h = garment.cut.collar, figure.height
    g, aside = girth(figure), 6.0 * slide(figure)
    deep = {Collar.ROUND: 5.6, Collar.V: 12.5, Collar.POLO: 8.5}[kind or Collar.ROUND] * h
    a, b = figure.on_torso(-6.6 * g, -1.4 * h), figure.on_torso(6.6 * g, -1.4 * h)
    low = figure.on_torso(aside, deep)
    path = skia.Path()
    path.moveTo(*a)
    if kind is Collar.ROUND:
        l1, l2 = figure.on_torso(aside - 4.6 * g, deep + 0.4), figure.on_torso(aside + 4.6 * g, deep + 0.4)
        path.cubicTo(*l1, *l2, *b)
    else:
        path.lineTo(*low)
        path.lineTo(*b)
    edge = mixed(scaled(garment.rgb, 0.7), garment.second_rgb, 0.25 if garment.pattern is not Pattern.PLAIN else 0.0)
    opening = skia.Path(path)
    opening.lineTo(*figure.on_torso(0, -4 * h))
    opening.close()
    painter.fill(opening, inside[1], Ink(inside[0]))
    if kind is Collar.POLO:
        _polo(painter, figure, garment, a, b, low)
    else:
        painter.line(path, edge, 1.7)


def _polo(painter: Painter, figure: Figure, garment: Garment, a: Vec2, b: Vec2, low: Vec2) -> None:
    light = scaled(garment.rgb, 1.25) if sum(garment.rgb) < 380 else scaled(garment.rgb, 0.86)
    placket = skia.Path()
    placket.moveTo(*low)
    placket.lineTo(low[0] + 5 * figure.down[0], low[1] + 5 * figure.down[1])
    painter.line(placket, scaled(garment.rgb, 0.6), 1.1, 0.8)
    for end, side in ((a, -1), (b, 1)):
        out = (end[0] + side * 4.4 * figure.across[0] + 6.6 * figure.down[0], end[1] + 6.8)
        flap = polygon([(end[0], end[1] - 1.4), out, (low[0] + side * 0.8, low[1] - 0.4)])
        part = PARTS[garment.type]
        painter.fill(flap, part, Ink(light))
        painter.line(flap, scaled(garment.rgb, 0.55), 0.7, 0.7)


def draw_sleeve(painter: Painter, figure: Figure, arm: Limb, garment: Garment) -> None:
    sleeve = garment.cut.sleeve
    if sleeve is None or sleeve is Sleeve.NONE:
        return
    a, b, c = arm.points
    ra, rb, rc = (r * (0.5 + 0.5 * figure.width) for r in _ARM)
    if sleeve is Sleeve.SHORT:
        pieces = [(a, lerp(a, b, 0.66), ra, ra + 0.5, True, False)]
    else:
        pieces = [(a, b, ra, rb, True, True), (b, lerp(b, c, 0.97), rb, rc, True, False)]
    _tube(painter, garment, pieces, 5.6)


def draw_trouser_leg(painter: Painter, figure: Figure, leg: Limb, garment: Garment) -> None:
    if garment.cut.form is not Form.TROUSERS:
        return
    a, b, c = leg.points
    w = figure.width
    wide = 1.5 if garment.cut.length is Length.LONG else 0.0
    ra, rb, rc = 9.8 * w, (7.7 + wide) * w, (6.6 + 2 * wide) * w
    if garment.cut.length is Length.SHORT:
        pieces = [(a, lerp(a, b, 0.86), ra, 9.0 * w, True, False)]
    else:
        pieces = [(a, b, ra, rb, True, True), (b, lerp(b, c, 0.94 + 0.02 * wide), rb, rc, True, False)]
    _tube(painter, garment, pieces, HIP)
    if garment.pattern is Pattern.LOGO and leg is figure.left_leg and not painter.labels:
        mark = logo(0.0, 0.62 * length(a, b), 7.6 * w)
        mark.transform(bone_frame(a, b))
        painter.tint(mark, across(garment.second_rgb, a, b, ra))


Piece = tuple[Vec2, Vec2, float, float, bool, bool]


def _tube(painter: Painter, garment: Garment, pieces: list[Piece], along: float) -> None:
    """Cloth around a limb: an edge that fades out towards the root, then the pieces, then the hem."""
    part = PARTS[garment.type]
    paths = [bone(a, b, ra, rb, cap_a=cap_a, cap_b=cap_b) for a, b, ra, rb, cap_a, cap_b in pieces]
    if not painter.labels:
        first = pieces[0]
        shade = skia.GradientShader.MakeLinear(
            [skia.Point(*first[0]), skia.Point(*first[1])],
            [0, 0xA0000000 | _bits(scaled(garment.rgb, 0.6))],
            [0.2, 0.7],
        )
        for path in paths:
            painter.line_fading(path, 1.3, shade)
    for (a, b, ra, rb, _, _), path in zip(pieces, paths, strict=True):
        painter.fill(path, part, across(cloth(garment, bone_frame(a, b, along)), a, b, max(ra, rb)))
        along += length(a, b)
    a, b, _, rb, _, _ = pieces[-1]
    far = length(a, b) or 1.0
    nx, ny, dx, dy = -(b[1] - a[1]) / far, (b[0] - a[0]) / far, (b[0] - a[0]) / far, (b[1] - a[1]) / far
    line = skia.Path()
    r = rb - 0.6
    line.moveTo(b[0] + nx * r - dx * 2, b[1] + ny * r - dy * 2)
    line.lineTo(b[0] - nx * r - dx * 2, b[1] - ny * r - dy * 2)
    painter.line(line, scaled(garment.rgb, 0.55), 0.8, 0.45)


def _bits(rgb: Rgb) -> int:
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]


def draw_lower(painter: Painter, figure: Figure, garment: Garment) -> None:
    """A skirt, or trousers' seat (their legs are drawn with the legs)."""
    w = figure.width
    left, right = (
        [flank(figure, s, half_at(halves(figure), v) + 0.6, v) for v in (WAIST - 2, 41.0, HIP)] for s in (-1, 1)
    )
    if garment.cut.form is Form.SKIRT:
        share = _HEM_OF_SKIRT[garment.cut.length]
        low = hem(figure, share, 3.4 + 3.0 * share)
        left, right = [*left, low[0]], [*right, low[1]]
    path = skia.Path()
    path.moveTo(*left[0])
    smooth(path, left)
    if garment.cut.form is Form.SKIRT:
        _hem_curve(path, left[-1], right[-1])
    else:
        (rx, ry), (lx, ly) = figure.right_leg.root[:2], figure.left_leg.root[:2]
        path.lineTo(rx - 8.0 * w * girth(figure), ry + 6)
        path.quadTo((rx + lx) / 2, (ry + ly) / 2 + 8, lx + 8.0 * w * girth(figure), ly + 6)
        path.lineTo(*right[-1])
    smooth(path, right[::-1])
    path.close()
    if garment.cut.form is Form.SKIRT:
        _cloth(painter, figure, garment, path)
        _mark(painter, figure, garment, path, 60.0)
    else:
        painter.fill(path, Part.LOWER, trunk_ink(figure, cloth(garment, torso_frame(figure))))
    band = skia.Path()
    band.moveTo(*lerp(left[0], right[0], 0.03))
    band.lineTo(*lerp(left[0], right[0], 0.97))
    painter.line(band, scaled(garment.rgb, 0.6), 2.2, 0.8)
    if garment.cut.form is Form.SKIRT:
        _hem_line(painter, garment, left[-1], right[-1])
