"""A garment's pattern: its class and its period, from the autocovariance of its texture.

An autocovariance does not change when a pattern slides over the cloth, so a stripe that lies a pixel lower is still a
stripe; it keeps the contrast, so a pattern washed out to half its contrast is no pattern.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from evaluation.metrics.arrays import Floats, Frames, Masks

MAX_LAG = 20
"""Pixels: more than the longest period at this size."""
_SHADING = 6.0
"""Pixels: folds and shading are slower than this, patterns faster."""
_STRONG, _DEEP, _FAINT = 0.75, 0.6, 0.02
"""A peak counts from this share of the highest on, with a valley below this share of it before it; a texture of less
contrast (RGB in [0, 1]) has no period."""
_MIN_SHARE = 0.25
"""A lag counts where at least this share of the garment's pixels has a partner."""


def signature(frames: Frames, masks: Masks) -> Floats:
    """[2 L + 1, 2 L + 1]: autocovariance of the texture inside `masks` [n, H, W], over the frames' mean.

    Its root with its sign, RGB in [0, 1]; 0 where too few pixels have a partner that far away.
    """
    total = np.zeros((2 * MAX_LAG + 1, 2 * MAX_LAG + 1))
    partners = np.zeros_like(total)
    for frame, mask in zip(frames, masks, strict=True):
        inside = ndimage.binary_erosion(mask, iterations=2)
        texture = _texture(frame, inside)
        total += sum(_correlation(texture[..., channel]) for channel in range(3))
        partners += _correlation(inside.astype(np.float64))
    most = partners.max()
    if most < 1:
        return np.zeros_like(total, np.float32)
    covariance = np.where(partners >= _MIN_SHARE * most, total / np.maximum(partners, 1), 0.0)
    rooted: Floats = (np.sign(covariance) * np.sqrt(np.abs(covariance))).astype(np.float32)
    return rooted


def nearest_pattern(seen: Floats, drawn: Mapping[str, Floats]) -> str:
    """The class whose drawing has the signature nearest to `seen`."""
    if not drawn:
        raise ValueError("no patterns to compare with")
    return min(drawn, key=lambda name: float(((seen - drawn[name]) ** 2).sum()))


def period(seen: Floats) -> float | None:
    """The pattern's repeat in pixels: how far the nearest strong peak lies from the centre; None if there is none."""
    smooth = ndimage.gaussian_filter(seen, 1.0)
    if smooth[MAX_LAG, MAX_LAG] < _FAINT:
        return None
    peaks = (smooth == ndimage.maximum_filter(smooth, size=5)) & (smooth > 0)
    peaks[[0, -1]] = peaks[:, [0, -1]] = False
    apart = [(y, x) for y, x in np.argwhere(peaks) if _valley(smooth, y, x) < _DEEP * smooth[y, x]]
    if not apart:
        return None
    highest = max(smooth[place] for place in apart)
    strong = [place for place in apart if smooth[place] >= _STRONG * highest]
    return min(float(np.hypot(*(_summit(smooth, y, x) - MAX_LAG))) for y, x in strong)


def _valley(values: Floats, y: int, x: int) -> float:
    """The lowest value on the way from the centre to a peak: along a stripe there is none."""
    steps = np.linspace(0, 1, 2 * MAX_LAG)
    way = (MAX_LAG + steps * (y - MAX_LAG), MAX_LAG + steps * (x - MAX_LAG))
    return float(ndimage.map_coordinates(values, way, order=1).min())


def _summit(values: Floats, y: int, x: int) -> NDArray[np.float64]:
    """A peak's place between the pixels: the vertex of a parabola through three of them, along each axis."""
    place = [float(y), float(x)]
    for axis, (before, after) in enumerate((((y - 1, x), (y + 1, x)), ((y, x - 1), (y, x + 1)))):
        bend = values[before] - 2 * values[y, x] + values[after]
        if bend < 0:
            place[axis] += float(0.5 * (values[before] - values[after]) / bend)
    return np.array(place)


def _texture(frame: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[H, W, 3]: what is left of the pixels inside when their local mean is taken off; 0 outside."""
    weight = inside.astype(np.float64)
    pixels = frame.astype(np.float64) / 255 * weight[..., None]
    near = np.maximum(ndimage.gaussian_filter(weight, _SHADING), 1e-6)
    mean = ndimage.gaussian_filter(pixels, (_SHADING, _SHADING, 0)) / near[..., None]
    texture: NDArray[np.float64] = (pixels - mean) * weight[..., None]
    return texture


def _correlation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[H, W] -> [2 L + 1, 2 L + 1]: the sum of products at every lag up to L."""
    shape = tuple(side + MAX_LAG for side in values.shape)
    spectrum = np.fft.rfft2(values, shape)
    product = np.fft.irfft2(np.abs(spectrum) ** 2, shape)
    rows = np.r_[-MAX_LAG : MAX_LAG + 1]
    return product[np.ix_(rows, rows)]
