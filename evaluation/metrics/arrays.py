"""The arrays that metrics take and give, and averaging over square blocks."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""[n, H, W, 3], sRGB."""
Masks = NDArray[np.bool_]
"""[n, H, W]."""
Floats = NDArray[np.float32]
Phases = NDArray[np.intp]
"""[n], steps of the drawings' phases."""


def halved(values: Floats) -> Floats:
    """[n, H, W, ...] -> [n, H/2, W/2, ...]: means of 2 x 2 pixels.

    Raises:
        ValueError: H or W is odd.
    """
    if values.shape[1] % 2 or values.shape[2] % 2:
        raise ValueError(f"{values.shape[2]} x {values.shape[1]} does not split into blocks of 2 x 2")
    rows = values[:, ::2] + values[:, 1::2]
    return cast(Floats, (rows[:, :, ::2] + rows[:, :, 1::2]) / 4)


def unit(frames: Frames) -> Floats:
    """0 to 255 as 0 to 1."""
    return np.multiply(frames, np.float32(1 / 255), dtype=np.float32)
