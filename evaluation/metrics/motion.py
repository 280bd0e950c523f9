"""How much the person moves, in which direction of time, and how large a step at a chunk's boundary is."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from evaluation.metrics.arrays import Floats, Frames, Masks, Phases
from evaluation.metrics.drawings import Truth, widened
from evaluation.metrics.pose import Distances
from evaluation.metrics.silhouette import soft_silhouettes

_WINDOW = 5
_MARGIN = 3
"""Pixels by which the garment's region is widened before it is left out of a boundary's step."""


def amplitude(frames: Frames, background: NDArray[np.uint8]) -> float:
    """How much the silhouette moves: the root of the silhouette's variance over time, summed over the picture.

    Colour plays no part, nor does flicker within the silhouette; a frozen clip has 0. Compare clips of one length.
    """
    return float(np.sqrt(soft_silhouettes(frames, background).var(axis=0).sum()))


def relative_amplitude(frames: Frames, truth: Truth, phases: Phases) -> float:
    """`amplitude` over that of the drawn motion over as many frames, from where the clip begins."""
    real = truth.new.frames[truth.track(int(phases[0]), len(frames))]
    return amplitude(frames, truth.background) / amplitude(real, truth.background)


def forward_share(found: Distances, truth: Truth) -> float:
    """Share of the moments at which the motion runs in the true direction of time.

    Each window of 5 frames is matched with the drawn motion running forward and running backward, from whichever
    phase fits best: the drawn motions pass no pose twice in opposite directions, so the better fit tells the sign
    of the velocity. A window that standing still fits better does not move at all.
    """
    cost = np.minimum(found.old, found.new)
    n, phases = cost.shape
    if n < _WINDOW:
        raise ValueError(f"{n} frames are too few for a window of {_WINDOW}")
    steps = np.round(truth.phases_per_frame * np.arange(_WINDOW)).astype(np.intp)
    start = np.arange(phases)[:, None]
    windows = np.lib.stride_tricks.sliding_window_view(cost, _WINDOW, axis=0)  # [n - 4, P, 5]
    frame = np.arange(_WINDOW)
    forward = windows[:, (start + steps) % phases, frame].mean(axis=-1).min(axis=1)
    backward = windows[:, (start - steps) % phases, frame].mean(axis=-1).min(axis=1)
    still = windows.mean(axis=-1).min(axis=1)
    return float(((forward < backward) & (forward < still)).mean())


def steps(frames: Frames, garment: Masks) -> Floats:
    """[n - 1]: mean absolute difference of each frame from the one before, 0 to 255, outside the garment's region.

    Args:
        garment: [n, H, W], where the garment (the old one or the new) is in each frame.
    """
    difference = np.abs(np.diff(frames.astype(np.int16), axis=0)).sum(axis=-1, dtype=np.float32) / 3
    either = garment[1:] | garment[:-1]
    outside = ~widened(either, _MARGIN)
    count = np.maximum(outside.sum(axis=(1, 2)), 1)
    return cast(Floats, (np.where(outside, difference, 0).sum(axis=(1, 2)) / count).astype(np.float32))


def sharpness(frames: Frames, drawn: Frames, masks: Masks) -> float:
    """Fine detail inside `masks` [n, H, W] over that of the drawings that the frames should be: 1 is as sharp."""
    return float(_detail(frames, masks) / _detail(drawn, masks))


def _detail(frames: Frames, masks: Masks) -> float:
    grey = frames.astype(np.float32).mean(axis=-1)
    fine = grey - ndimage.gaussian_filter(grey, (0, 1.0, 1.0))
    return float(np.abs(fine[masks]).mean())
