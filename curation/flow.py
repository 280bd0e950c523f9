"""How much moves: the mean length of the optical flow, by a meter's measure of neighbouring frames."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import cv2
import numpy as np

from curation.clip import View
from curation.frames import Frames
from curation.roles import FlowMeter

_RATE = 6.0
"""Frames a second that are compared."""
_LONG_SIDE = 320


class DenseInverseSearch:
    """OpenCV's DIS (Kroeger et al., 2016), which needs no weights."""

    name: ClassVar[str] = "dis"

    def flow(self, frames: Frames) -> list[float]:
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        # A new search and a first guess each time: with OpenCV 4.11, results without a guess depended on what was
        # measured before, and a search that went on to pictures of another size crashed.
        nothing = np.zeros((*grey[0].shape, 2), np.float32)
        flows = (search.calc(before, after, nothing.copy()) for before, after in itertools.pairwise(grey))
        return [float(np.linalg.norm(np.asarray(flow), axis=2).mean()) for flow in flows]


def speed(view: View, meter: FlowMeter) -> float:
    """Mean over time and picture, in picture diagonals a second: the same at any size and frame rate."""
    frames, seconds = view.steady(_RATE, long_side=_LONG_SIDE)
    if len(frames) < 2:
        return 0.0
    diagonal = math.hypot(*frames.shape[1:3])
    return float(np.mean(meter.flow(frames))) / diagonal / seconds
