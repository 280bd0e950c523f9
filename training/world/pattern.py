"""A garment's cloth as a shader: tiles that repeat in the frame of whatever wears them."""

from functools import lru_cache
from math import cos, pi, sin

import numpy as np
import numpy.typing as npt
import skia

from training.world.colour import Rgb
from training.world.garment import Garment, Pattern

_TILE = 64
"""Texels a period."""
_SAMPLING = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)


def opaque(rgb: Rgb) -> int:
    return 0xFF000000 | rgb[0] << 16 | rgb[1] << 8 | rgb[2]


def cloth(garment: Garment, matrix: skia.Matrix) -> Rgb | skia.Shader:
    """The colour or the shader of `garment`; `matrix` takes the cloth's frame (figure units) to the picture's."""
    if garment.pattern in (Pattern.PLAIN, Pattern.LOGO):
        return garment.rgb
    tile = _tile(garment.pattern, garment.rgb, garment.second_rgb)
    step = garment.period / _TILE
    local = skia.Matrix.Concat(matrix, skia.Matrix.Translate(-garment.period / 2, 0))  # a dot in the middle
    local.preScale(step, step)
    return tile.makeShader(skia.TileMode.kRepeat, skia.TileMode.kRepeat, _SAMPLING, local)


def logo(u: float, v: float, size: float) -> skia.Path:
    """The one large mark of a logo garment: a star, centred at (u, v)."""
    points = []
    for corner in range(10):
        radius = size if corner % 2 == 0 else 0.5 * size
        points.append(skia.Point(u + radius * sin(pi * corner / 5), v - radius * cos(pi * corner / 5)))
    path = skia.Path()
    path.addPoly(points, True)
    return path


@lru_cache(maxsize=256)
def _tile(pattern: Pattern, rgb: Rgb, second: Rgb) -> skia.Image:
    y, x = np.mgrid[0:_TILE, 0:_TILE].astype(np.float32) / _TILE
    if pattern is Pattern.STRIPES:
        share = (y >= 0.5).astype(np.float32)
    elif pattern is Pattern.CHECKS:
        share = 0.5 * (y >= 0.5) + 0.5 * (x >= 0.5)
    else:
        share = _disc(x - 0.5, y - 0.5)
    colours = np.array(rgb) + share[..., None] * (np.array(second) - np.array(rgb))
    texels = np.dstack([colours, np.full_like(y, 255)]).round().astype(np.uint8)
    return skia.Image.fromarray(np.ascontiguousarray(texels), skia.kRGBA_8888_ColorType).withDefaultMipmaps()


def _disc(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.clip((0.29 - np.hypot(x, y)) * _TILE + 0.5, 0, 1)
