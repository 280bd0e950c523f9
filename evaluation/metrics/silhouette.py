"""The person's silhouette in a generated frame: what differs from the known background."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_holes

from evaluation.metrics.arrays import Floats, Frames, Masks, unit

_LOW, _HIGH = 0.06, 0.18
"""RGB distance (each channel 0 to 1) at which a pixel begins to count as the person, and from which it does."""
_BLUR = 0.7
"""Pixels. Noise and a codec's ripple are averaged away before the threshold."""
_HOLE = 24
"""Pixels. What is larger, such as the gap between arm and trunk, is background."""


def soft_silhouettes(frames: Frames, background: NDArray[np.uint8]) -> Floats:
    """[n, H, W] in [0, 1]: how surely each pixel is the person, whatever its colour is."""
    difference = unit(frames) - unit(background)
    smooth = ndimage.gaussian_filter(difference, (0, _BLUR, _BLUR, 0))
    distance = np.sqrt((smooth**2).sum(axis=-1))
    return cast(Floats, np.clip((distance - _LOW) / (_HIGH - _LOW), 0, 1))


def silhouettes(frames: Frames, background: NDArray[np.uint8]) -> Masks:
    """[n, H, W]: the largest connected region that differs from the background, its small holes filled.

    A soft shadow on the floor belongs to it: compare what this finds in a frame with what it finds in a drawing.
    """
    return np.stack([_largest(soft > 0.5) for soft in soft_silhouettes(frames, background)])


def iou(a: Masks, b: Masks) -> Floats:
    """[n]: intersection over union of each pair; 1 where both are empty."""
    union = (a | b).sum(axis=(1, 2))
    return np.where(union > 0, (a & b).sum(axis=(1, 2)) / np.maximum(union, 1), 1.0).astype(np.float32)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(ndimage.binary_closing(mask, iterations=1))
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    return cast(NDArray[np.bool_], remove_small_holes(labels == 1 + int(sizes.argmax()), max_size=_HOLE))
