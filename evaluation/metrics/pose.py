"""Pose by render-and-compare: which drawing of the known motion a frame is nearest to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.metrics.arrays import Floats, Frames, Phases, halved, unit
from evaluation.metrics.drawings import Truth

DIRECTION_FRAMES = 8
"""Frames on each side of a switch by which the motion's direction is judged: two thirds of a second at 12 a second."""
MIN_REVERSAL = 0.15
"""A switch where going on and turning back are drawn this much alike, against the motion's mean contrast, has no
direction to judge: the motion stands still or turns there anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """[n, P] mean squared difference of each frame from each phase's drawing, RGB in [0, 1]."""

    old: Floats
    new: Floats

    @property
    def nearest_old(self) -> Phases:
        return np.asarray(self.old.argmin(axis=1))

    @property
    def nearest_new(self) -> Phases:
        return np.asarray(self.new.argmin(axis=1))

    @property
    def phase(self) -> Phases:
        """[n]: the nearest phase, in whichever garment is nearer."""
        return np.asarray(np.minimum(self.old, self.new).argmin(axis=1))


def distances(frames: Frames, truth: Truth) -> Distances:
    """Compare each frame [n, H, W, 3] with each drawing, where the person ever is, at half the resolution."""
    ever = truth.ever_person
    seen = _rows(halved(unit(frames))[:, ever])
    old, new = _rows(truth.old.half[:, ever]), _rows(truth.new.half[:, ever])
    return Distances(old=_squared(seen, old), new=_squared(seen, new))


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """Whether the motion goes on over a switch.

    Attributes:
        goes_on: the frames after the switch are nearer to the motion continued than to the motion turned back.
        decidable: the two would look different here.
    """

    goes_on: bool
    decidable: bool


def direction(before: Distances, after: Distances, truth: Truth) -> Direction:
    """Judge the sign of the velocity over a switch, by matching short clips and not single frames.

    A single frame seldom tells in which direction a limb moves. So the frames before the switch are matched with the
    motion running forward, which gives the phase at the switch; those after it are compared with the motion that goes
    on from there and with the one that turns back. Both may start a little earlier or later: what is asked for is the
    direction, not the place.

    Args:
        before, after: of the frames up to the switch and from it on; DIRECTION_FRAMES of each are used.
    """
    cost_before = np.minimum(before.old, before.new)[-DIRECTION_FRAMES:]
    cost_after = np.minimum(after.old, after.new)[:DIRECTION_FRAMES]
    phases = cost_before.shape[1]
    rate = truth.phases_per_frame
    # Phase p at the switch: frame -1 shows p - rate, frame -k shows p - k rate.
    at_switch = int(np.argmin(_along(cost_before, -len(cost_before) * rate, rate)))
    forward, backward = _along(cost_after, 0, rate), _along(cost_after, 0, -rate)
    near = (at_switch + np.arange(-2 * round(rate), 2 * round(rate) + 1)) % phases
    return Direction(
        goes_on=bool(forward[near].min() < backward[near].min()),
        decidable=_reversal(at_switch, len(cost_after), truth) >= MIN_REVERSAL,
    )


def _along(cost: Floats, offset: float, rate: float) -> Floats:
    """[P]: mean cost [n, P] along the track that begins at p + offset and moves by `rate` a frame, for every p."""
    n, phases = cost.shape
    steps = np.round(offset + rate * np.arange(n)).astype(np.intp)
    track = (np.arange(phases)[:, None] + steps) % phases
    return np.asarray(cost[np.arange(n), track].mean(axis=1))


def _reversal(at_switch: int, frames: int, truth: Truth) -> float:
    """How differently going on and turning back are drawn, 0 to about 1: against how the poses differ at all."""
    drawings = _rows(truth.new.half[:, truth.ever_person])
    steps = np.round(truth.phases_per_frame * np.arange(frames)).astype(np.intp)
    on = drawings[(at_switch + steps) % len(drawings)]
    back = drawings[(at_switch - steps) % len(drawings)]
    contrast = 2 * drawings.var(axis=0).mean()
    return float(((on - back) ** 2).mean() / contrast) if contrast > 0 else 0.0


def _rows(values: Floats) -> Floats:
    return values.reshape(len(values), -1)


def _squared(a: Floats, b: Floats) -> Floats:
    """[n, m] mean squared differences of rows [n, k] and [m, k]."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.maximum(squared, 0) / a.shape[1])
