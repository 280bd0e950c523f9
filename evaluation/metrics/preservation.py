"""What a switch must leave alone: head, background, the other garments, the person's identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.arrays import Floats, Frames, Masks, Phases
from evaluation.metrics.colour import delta_e, lab_cells, mean_in
from evaluation.metrics.drawings import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PreservationMarks:
    """[n] each: mean CIEDE2000 from the drawing of the garment worn, at the nearest pose. NaN where nothing is seen.

    `body` is what is neither head nor garment: other garments, arms, legs.
    """

    head: Floats
    background: Floats
    body: Floats


def preservation_marks(frames: Frames, truth: Truth, phases: Phases, new: NDArray[np.bool_]) -> PreservationMarks:
    """Compare frames [n, H, W, 3] with the drawings at `phases` [n], in the new garment where `new` [n] is true."""
    difference = delta_e(lab_cells(frames), _either(truth, "lab", phases, new))

    def mark(part: str) -> Floats:
        return mean_in(difference, _either(truth, f"{part}_cells", phases, new).astype(bool))

    return PreservationMarks(head=mark("head"), background=mark("scene"), body=mark("body"))


def identity_rank(frames: Frames, heads: Sequence[tuple[Frames, Masks]]) -> float:
    """Share of frames whose head is nearest to the person's own among others'.

    Args:
        frames: [n, H, W, 3].
        heads: the same poses drawn of the person (first) and of others: frames [n, H, W, 3] and head masks [n, H, W].
    """
    region = np.logical_or.reduce([mask for _, mask in heads])
    place = np.nonzero(region)
    seen = frames[place].astype(np.float32)
    costs = [
        np.bincount(place[0], ((seen - drawn[place]) ** 2).sum(axis=-1), minlength=len(frames)) for drawn, _ in heads
    ]
    return float((np.argmin(np.stack(costs), axis=0) == 0).mean())


def _either(truth: Truth, name: str, phases: Phases, new: NDArray[np.bool_]) -> Floats:
    in_new, in_old = getattr(truth.new, name)[phases], getattr(truth.old, name)[phases]
    chosen: Floats = np.where(new.reshape(-1, *(1,) * (in_new.ndim - 1)), in_new, in_old)
    return chosen
