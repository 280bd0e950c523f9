"""The palette: colours that have a name and lie far apart."""

import colorsys
from enum import Enum
from random import Random

Rgb = tuple[int, int, int]


class Colour(Enum):
    """Twenty-four colours of garments, sRGB."""

    WHITE = (246, 244, 240)
    BLACK = (44, 44, 50)
    GREY = (140, 145, 152)
    BEIGE = (219, 199, 164)
    BROWN = (126, 82, 54)
    RED = (214, 46, 50)
    BURGUNDY = (122, 26, 52)
    CORAL = (246, 122, 104)
    ORANGE = (240, 134, 32)
    MUSTARD = (206, 158, 36)
    YELLOW = (250, 214, 62)
    OLIVE = (122, 124, 52)
    LIME = (164, 208, 66)
    GREEN = (52, 160, 84)
    FOREST = (26, 86, 60)
    MINT = (164, 226, 196)
    TEAL = (18, 134, 138)
    TURQUOISE = (62, 196, 206)
    SKY = (140, 194, 240)
    BLUE = (42, 106, 216)
    NAVY = (34, 46, 104)
    LAVENDER = (186, 168, 236)
    PURPLE = (122, 58, 168)
    PINK = (244, 150, 190)

    @property
    def rgb(self) -> Rgb:
        return self.value

    @property
    def title(self) -> str:
        return self.name.lower()


def distance(a: Rgb, b: Rgb) -> float:
    """A cheap perceptual distance ("redmean"), 0 to about 765."""
    mean = (a[0] + b[0]) / 2
    r, g, b_ = (x - y for x, y in zip(a, b, strict=True))
    return float(((2 + mean / 256) * r * r + 4 * g * g + (2 + (255 - mean) / 256) * b_ * b_) ** 0.5)


def scaled(rgb: Rgb, factor: float) -> Rgb:
    """`rgb` made darker (factor < 1) or lighter towards white (factor > 1)."""
    if factor <= 1:
        return _rounded(*(c * factor for c in rgb))
    return _rounded(*(c + (255 - c) * (factor - 1) for c in rgb))


def mixed(a: Rgb, b: Rgb, share: float) -> Rgb:
    """`a` with `share` of `b` in it."""
    return _rounded(*(x + (y - x) * share for x, y in zip(a, b, strict=True)))


def jittered(rgb: Rgb, draw: Random) -> Rgb:
    """`rgb` moved a little in hue, saturation and value: still the same name."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
    h = (h + draw.uniform(-0.008, 0.008)) % 1
    s = min(1.0, max(0.0, s * draw.uniform(0.94, 1.06)))
    v = min(1.0, max(0.0, v * draw.uniform(0.96, 1.03)))
    r, g, b = colorsys.hsv_to_rgb(h, s, v)
    return _rounded(r * 255, g * 255, b * 255)


def _rounded(*channels: float) -> Rgb:
    r, g, b = (min(255, max(0, round(c))) for c in channels)
    return r, g, b
