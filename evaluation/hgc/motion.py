"""Motion amplitude and smoothness as OpenS2V-Eval (github.com/PKU-YuanGroup/OpenS2V-Nexus) defines them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.arrays import Frames

_MAP_WIDTH = 16
_WINDOW = 3
_JUMP = 0.025


def amplitude(video: Frames) -> float:
    """The mean of the optical flow's components over time and picture, absolute and at most 1.

    Farneback's flow in pixels between neighbouring frames [n >= 2, H, W, 3], each map shrunk to a width of 16. The
    mean is signed, so that opposite motions cancel: that is the definition.
    """
    if len(video) < 2:
        raise ValueError("the flow needs at least two frames")
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video]
    height, width = grey[0].shape
    size = (_MAP_WIDTH, int(height * _MAP_WIDTH / width))
    total = np.zeros((size[1], size[0], 2))
    for before, after in itertools.pairwise(grey):
        total += cv2.resize(_flow(before, after), size, interpolation=cv2.INTER_AREA)
    return float(min(abs(total.mean() / (len(video) - 1)), 1.0))


def smoothness(video: Frames, quality: Callable[[Sequence[Sequence[NDArray[np.uint8]]]], NDArray[np.float64]]) -> float:
    """The share of frames at which the quality of the frames around does not jump.

    Args:
        quality: scores windows of 3 frames, 0 to 1; a jump is a difference of more than 0.025 between neighbours, and
            counts for both.
    """
    last = len(video) - 1
    reach = _WINDOW // 2
    windows = [
        [video[min(max(at + offset, 0), last)] for offset in range(-reach, reach + 1)] for at in range(len(video))
    ]
    jumps = np.abs(np.diff(quality(windows))) > _JUMP
    touched = np.zeros(len(video), bool)
    touched[:-1] |= jumps
    touched[1:] |= jumps
    return float(1 - touched.mean())


def _flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
    flow = np.zeros((*before.shape, 2), np.float32)
    return np.asarray(
        cv2.calcOpticalFlowFarneback(
            before, after, flow, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
        ),
        np.float32,
    )
