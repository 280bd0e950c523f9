"""What a case should look like: the person drawn at every phase of the motion, in the one garment and in the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from evaluation.metrics.arrays import Floats, Frames, Masks, Phases, halved, unit
from evaluation.metrics.colour import lab_cells, mask_cells

_SHADOW = 6
"""Pixels round the person that are not judged as background: a soft shadow, a pose that differs by a pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: what is derived from the drawings is kept beside them
class Drawings:
    """One person, scene and motion in one garment, at P phases that lie evenly over the cycle.

    Attributes:
        frames: [P, H, W, 3].
        garment, head, person: [P, H, W], where what is seen.
    """

    frames: Frames
    garment: Masks
    head: Masks
    person: Masks

    def __post_init__(self) -> None:
        for name in ("garment", "head", "person"):
            if getattr(self, name).shape != self.frames.shape[:3]:
                raise ValueError(f"{name} is {getattr(self, name).shape}, and the frames are {self.frames.shape}")

    @property
    def phases(self) -> int:
        return len(self.frames)

    @cached_property
    def half(self) -> Floats:
        """[P, H/2, W/2, 3] in [0, 1]."""
        return halved(unit(self.frames))

    @cached_property
    def lab(self) -> Floats:
        """[P, H/4, W/4, 3]."""
        return lab_cells(self.frames)

    @cached_property
    def garment_cells(self) -> Masks:
        """[P, H/4, W/4]; so are the next three."""
        return mask_cells(self.garment)

    @cached_property
    def head_cells(self) -> Masks:
        return mask_cells(self.head)

    @cached_property
    def body_cells(self) -> Masks:
        """The person but for head and garment: other garments, arms, legs."""
        return mask_cells(self.person & ~self.head & ~self.garment)

    @cached_property
    def scene_cells(self) -> Masks:
        return mask_cells(~widened(self.person, _SHADOW))


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """A case's ground truth.

    Attributes:
        old, new: the person in the garment before and after the switch; equal phases are equal poses.
        background: [H, W, 3], the scene without the person.
        phases_per_frame: how far the motion goes on in one frame, in steps of the drawings' phases.
    """

    old: Drawings
    new: Drawings
    background: NDArray[np.uint8]
    phases_per_frame: float

    def __post_init__(self) -> None:
        if self.old.frames.shape != self.new.frames.shape or self.background.shape != self.old.frames.shape[1:]:
            raise ValueError("drawings and background must have one size, and both garments one number of phases")
        if not self.phases_per_frame > 0:
            raise ValueError(f"phases_per_frame must be positive, got {self.phases_per_frame}")

    @cached_property
    def ever_person(self) -> NDArray[np.bool_]:
        """[H/2, W/2]: where the person is at any phase, in either garment."""
        ever = (self.old.person | self.new.person).any(axis=0)
        half: NDArray[np.bool_] = halved(ever[None].astype(np.float32))[0] > 0
        return half

    def track(self, first_phase: float, frames: int) -> Phases:
        """[n]: the phases that `frames` frames show, the first at `first_phase`, in steps of the drawings' phases."""
        steps = np.round(first_phase + self.phases_per_frame * np.arange(frames))
        track: Phases = steps.astype(np.intp) % self.old.phases
        return track


def widened(masks: Masks, pixels: int) -> Masks:
    """[n, H, W] grown by `pixels` to every side."""
    grown: Masks = ndimage.maximum_filter(masks.view(np.uint8), size=(1, 2 * pixels + 1, 2 * pixels + 1)).view(np.bool_)
    return grown
