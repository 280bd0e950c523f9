"""Held-out cases: persons, garments and motions that never occur in training, all of them drawn from given seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import skia
from numpy.typing import NDArray

from contract.cache_plan import Policy
from evaluation.metrics.arrays import Floats, Frames, Phases
from evaluation.metrics.drawings import Drawings, Truth
from evaluation.metrics.pattern import signature
from evaluation.score import Expected
from training.world import (
    FRAMES_PER_SECOND,
    Garment,
    Outfit,
    Pattern,
    Person,
    Sample,
    Split,
    draw_frame,
    draw_person,
    draw_sample,
    dynamic_caption,
    masks,
    product_picture,
    wear,
)
from training.world.scene import background

PHASES = 64
_PATTERN_STEP = 8
_OTHERS, _OTHERS_STEP = 3, 8
_MAX_CASES_PER_SEED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A person who wears `sample.garment` and changes into `sample.other`.

    Attributes:
        seed: as given on the command line.
        index: counts the seed's cases.
        size: (rows, columns) of every picture.
    """

    seed: int
    index: int
    size: tuple[int, int]
    sample: Sample

    @property
    def name(self) -> str:
        return f"{self.seed}-{self.index}"

    @property
    def session_seed(self) -> int:
        return _derived(self.seed, self.index)

    @property
    def switched_to(self) -> Outfit:
        return wear(self.sample.outfit, self.sample.other)

    def product(self, garment: Garment) -> NDArray[np.uint8]:
        return product_picture(garment, self.size)

    def prompt(self, frame: int | None) -> str:
        """The dynamic caption with the phase at a frame; None: without a phase."""
        motion = self.sample.motion
        return dynamic_caption(self.sample.person, motion, None if frame is None else motion.phase(frame))

    def prompt_at_switch(self, first_frame: int, policy: Policy, *, phase: bool) -> str:
        """The prompt that comes with a switch shown from `first_frame` on: a restarted video repeats the last pose."""
        return self.prompt((first_frame - 1 if policy.restarts_video else first_frame) if phase else None)

    def frames(self, outfit: Outfit, phases: Phases, person: Person | None = None) -> Frames:
        """[n, H, W, 3]: the motion at phases of PHASES, in an outfit; of another person if one is given."""
        who, sample = person or self.sample.person, self.sample
        poses = [sample.motion.pose(float(phase) / PHASES) for phase in phases]
        return np.stack([draw_frame(who, sample.scene, outfit, pose, self.size) for pose in poses])

    def drawings(self, outfit: Outfit, step: int = 1, person: Person | None = None) -> Drawings:
        """The case at every `step`-th phase, in an outfit; of another person if one is given."""
        who, sample = person or self.sample.person, self.sample
        phases = np.arange(0, PHASES, step)
        parts = [masks(who, outfit, sample.motion.pose(float(phase) / PHASES), self.size) for phase in phases]
        return Drawings(
            frames=self.frames(outfit, phases, who),
            garment=np.stack([part.garment(sample.garment.type) for part in parts]),
            head=np.stack([part.head for part in parts]),
            person=np.stack([part.person for part in parts]),
        )

    def truth(self, old: Outfit, new: Outfit) -> Truth:
        motion = self.sample.motion
        return Truth(
            old=self.drawings(old),
            new=self.drawings(new),
            background=self._background(),
            phases_per_frame=PHASES * motion.cycles_per_second / FRAMES_PER_SECOND,
        )

    def _background(self) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = background(self.sample.scene, self.size).toarray(
            colorType=skia.kRGBA_8888_ColorType
        )
        return np.ascontiguousarray(picture[..., :3])

    def expected_after_switch(self) -> Expected:
        """What the switch from `garment` to `other` must show."""
        return self._expected(self.sample.garment, self.sample.other)

    def expected_from_start(self) -> Expected:
        """What the session must show from its start on: `garment`, while the reference picture shows `worn`."""
        return self._expected(self.sample.worn, self.sample.garment)

    def _expected(self, old: Garment, new: Garment) -> Expected:
        outfit = wear(self.sample.outfit, new)
        truth = self.truth(wear(self.sample.outfit, old), outfit)
        return Expected(
            truth=truth,
            patterns={pattern.value: self._signature(replace(new, pattern=pattern), truth) for pattern in Pattern},
            pattern=new.pattern.value,
            others=tuple(self.drawings(outfit, _OTHERS_STEP, person) for person in self.others()),
            others_step=_OTHERS_STEP,
        )

    def _signature(self, garment: Garment, truth: Truth) -> Floats:
        phases = np.arange(0, PHASES, _PATTERN_STEP)
        return signature(self.frames(wear(self.sample.outfit, garment), phases), truth.new.garment[phases])

    def others(self) -> list[Person]:
        """Held-out persons of the same presentation, none of them the case's own."""
        draw, own = Random(f"others/{self.session_seed}"), self.sample.person
        others: list[Person] = []
        while len(others) < _OTHERS:
            person = draw_person(draw, Split.EVALUATION, own.presentation)
            if (person.skin, person.hair_colour, person.hair_style) != (own.skin, own.hair_colour, own.hair_style):
                others.append(person)
        return others


def draw_case(seed: int, index: int, size: tuple[int, int]) -> Case:
    """Case `index` of a seed, the same on every call."""
    sample = draw_sample(_derived(seed, index), Split.EVALUATION, frames=1, size=size)
    return Case(seed=seed, index=index, size=size, sample=sample)


def spread(seeds: Sequence[int], cases: int) -> list[tuple[int, int]]:
    """`cases` cases over the seeds, evenly: (seed, index) each.

    Raises:
        ValueError: a seed comes twice or is not positive, or there are fewer cases than seeds.
    """
    if len(set(seeds)) != len(seeds) or not seeds or min(seeds) < 1:
        raise ValueError(f"seeds must be positive and all different, got {list(seeds)}")
    if not len(seeds) <= cases < _MAX_CASES_PER_SEED:
        raise ValueError(f"{cases} cases do not spread over {len(seeds)} seeds: at least one each")
    return [(seed, index) for number, seed in enumerate(seeds) for index in range(_share(cases, len(seeds), number))]


def _share(cases: int, seeds: int, number: int) -> int:
    return cases // seeds + (number < cases % seeds)


def _derived(seed: int, index: int) -> int:
    return seed * _MAX_CASES_PER_SEED + index
