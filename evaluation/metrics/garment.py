"""Which garment is worn: colour, nearness to the new one and to the old one, and what leaks from the old one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.arrays import Floats, Frames
from evaluation.metrics.colour import delta_e, lab_cells, mean_in
from evaluation.metrics.drawings import Truth
from evaluation.metrics.pose import Distances

DISTINCT = 10.0
"""CIEDE2000 from which a cell tells the two garments apart."""
SHOWN_FRAMES = 3
"""The new garment shows from the first of this many frames in a row that are nearer to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GarmentMarks:
    """Frame by frame, [n] each.

    Attributes:
        delta_e: mean CIEDE2000 from the new garment, inside it.
        nearer_new: the frame is nearer to the new garment than to the old one, where the two differ.
        leak: share of those cells that are nearer to the old garment.
    """

    delta_e: Floats
    nearer_new: NDArray[np.bool_]
    leak: Floats


def garment_marks(frames: Frames, truth: Truth, found: Distances) -> GarmentMarks:
    """Compare the garment's region of every frame with both garments, each drawn at the pose nearest in it."""
    seen = lab_cells(frames)
    as_new, as_old = found.nearest_new, found.nearest_old
    inside = truth.new.garment_cells[as_new]
    new_lab, old_lab = truth.new.lab[as_new], truth.old.lab[as_old]
    from_new, from_old = delta_e(seen, new_lab), delta_e(seen, old_lab)
    either = inside | truth.old.garment_cells[as_old]
    distinct = either & (delta_e(new_lab, old_lab) >= DISTINCT)
    return GarmentMarks(
        delta_e=mean_in(from_new, inside),
        nearer_new=mean_in(from_new, distinct) < mean_in(from_old, distinct),
        leak=mean_in((from_old < from_new).astype(np.float32), distinct),
    )


def separation(truth: Truth) -> float:
    """Mean CIEDE2000 between the two garments where either is, in equal poses."""
    either = truth.new.garment_cells | truth.old.garment_cells
    return float(np.nanmean(mean_in(delta_e(truth.new.lab, truth.old.lab), either)))


def shows_after(nearer_new: NDArray[np.bool_]) -> int | None:
    """Frames until the new garment shows for good enough: SHOWN_FRAMES in a row; None if it never does."""
    for first in range(len(nearer_new) - SHOWN_FRAMES + 1):
        if nearer_new[first : first + SHOWN_FRAMES].all():
            return first
    return None
