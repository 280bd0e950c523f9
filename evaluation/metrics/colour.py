"""Colour differences: CIEDE2000 between cells of 4 x 4 pixels, so that colour counts and a pattern's edges do not."""

from __future__ import annotations

from typing import cast

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from evaluation.metrics.arrays import Floats, Frames, Masks, halved, unit

INSIDE = 0.9
"""Share of a cell's pixels that a mask must hold for the cell to be inside."""


def lab_cells(frames: Frames) -> Floats:
    """[n, H, W, 3] sRGB -> [n, H/4, W/4, 3] CIELAB of the cells' mean colours.

    Raises:
        ValueError: H or W is no multiple of 4.
    """
    return cast(Floats, rgb2lab(halved(halved(unit(frames)))).astype(np.float32))


def mask_cells(masks: Masks) -> Masks:
    """[n, H, W] -> [n, H/4, W/4]: the cells that lie inside."""
    return halved(halved(masks.astype(np.float32))) >= INSIDE


def delta_e(a: Floats, b: Floats) -> Floats:
    """CIEDE2000 of [..., 3] CIELAB each -> [...]."""
    return np.asarray(deltaE_ciede2000(a, b), np.float32)


def mean_in(values: Floats, masks: Masks) -> Floats:
    """[n, h, w] -> [n]: each frame's mean inside its mask; NaN where the mask is empty."""
    count = masks.sum(axis=(1, 2))
    total = np.where(masks, values, 0).sum(axis=(1, 2))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
