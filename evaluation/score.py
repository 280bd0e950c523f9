"""One clip's marks: every ground-truth metric of a session in which the garment is (or is not) switched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.drive.script import Clip
from evaluation.metrics.arrays import Floats, Frames, Masks, Phases
from evaluation.metrics.drawings import Drawings, Truth
from evaluation.metrics.garment import garment_marks, shows_after
from evaluation.metrics.motion import forward_share, relative_amplitude, sharpness, steps
from evaluation.metrics.pattern import nearest_pattern, period, signature
from evaluation.metrics.pose import DIRECTION_FRAMES, Distances, direction, distances
from evaluation.metrics.preservation import identity_rank, preservation_marks
from evaluation.metrics.silhouette import iou, silhouettes

Marks = Mapping[str, float]
"""By a metric's name; NaN where a clip has nothing to judge (see METRICS)."""
PLAIN, REPEATING = "plain", ("stripes", "checks", "dots")
"""Classes of patterns."""
_EVERY = 3
"""Frames: silhouettes and patterns change slowly, and are judged at every third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How a mark is reported. `over`: the mark it is divided by, after both are averaged over the cases."""

    name: str
    title: str
    higher_is_better: bool | None
    percent: bool = False
    over: str | None = None


METRICS = (
    Metric(name="nearer_new", title="frames nearer the new garment", higher_is_better=True, percent=True),
    Metric(name="shown_in_chunk", title="shows within a chunk", higher_is_better=True, percent=True),
    Metric(name="shown_frames", title="frames until it shows", higher_is_better=False),
    Metric(name="shown_s", title="seconds until it shows", higher_is_better=False),
    Metric(name="leak", title="old garment leaking", higher_is_better=False, percent=True),
    Metric(name="garment_delta_e", title="garment Delta E", higher_is_better=False),
    Metric(name="pattern", title="pattern class right", higher_is_better=True, percent=True),
    Metric(name="pattern_seen", title="the same, of garments with a pattern", higher_is_better=True, percent=True),
    Metric(name="period_error", title="period error", higher_is_better=False, percent=True),
    Metric(name="iou", title="silhouette IoU", higher_is_better=True),
    Metric(name="head_delta_e", title="head Delta E", higher_is_better=False),
    Metric(name="identity", title="head nearest the person's own", higher_is_better=True, percent=True),
    Metric(name="background_delta_e", title="background Delta E", higher_is_better=False),
    Metric(name="body_delta_e", title="body and other garments Delta E", higher_is_better=False),
    Metric(name="amplitude", title="motion amplitude / real", higher_is_better=None),
    Metric(name="forward", title="moments moving forward", higher_is_better=True, percent=True),
    Metric(name="direction", title="direction kept over the switch", higher_is_better=True, percent=True),
    Metric(name="jump", title="step at the switch / ordinary", higher_is_better=False, over="ordinary"),
    Metric(name="sharpness", title="sharpness / real", higher_is_better=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a case's clips are judged by.

    Attributes:
        truth: drawings in both garments.
        patterns: signature of the new garment in each pattern class, by name.
        pattern: the class it has.
        others: the same scene, motion and new garment with other persons, at every `others_step`-th phase.
    """

    truth: Truth
    patterns: Mapping[str, Floats]
    pattern: str
    others: tuple[Drawings, ...]
    others_step: int


def score(clip: Clip, expected: Expected, *, switch_chunk: int, frames_per_second: int) -> Marks:
    """Judge the clip from chunk `switch_chunk` on, whether or not the garment was switched there.

    From chunk 0 on, the whole clip is judged as a session that began in the old garment's picture: it has no step and
    no direction to keep.

    The garment is judged against the new one; silhouette, head, background and body against the drawing of the garment
    that each frame is nearer to, since they must be right whatever is worn.
    """
    truth = expected.truth
    found = distances(clip.frames, truth)
    first = clip.starts[switch_chunk]
    settled = clip.starts[switch_chunk + 1] if switch_chunk + 1 < len(clip.starts) else first
    after = _part(found, first, len(clip.frames))
    post = clip.frames[first:]
    worn = _Worn.of(after)
    marks = _garment(post, settled - first, truth, after, frames_per_second)
    marks |= _pattern(clip.frames[settled:], found.nearest_new[settled:], expected)
    marks |= _appearance(post, expected, worn)
    marks["identity"] = _identity(post, expected, worn)
    marks |= _boundaries(clip, truth, found, first)
    marks["direction"] = _direction(found, truth, first)
    marks["amplitude"] = relative_amplitude(post, truth, after.phase)
    marks["forward"] = forward_share(after, truth)
    return marks


def _direction(found: Distances, truth: Truth, first: int) -> float:
    if first < DIRECTION_FRAMES:
        return np.nan
    before, after = _part(found, first - DIRECTION_FRAMES, first), _part(found, first, first + DIRECTION_FRAMES)
    verdict = direction(before, after, truth)
    return float(verdict.goes_on) if verdict.decidable else np.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worn:
    """What n frames show: the nearest phase, and whether the new garment is the nearer one, [n] each."""

    phases: Phases
    new: NDArray[np.bool_]

    @classmethod
    def of(cls, found: Distances) -> _Worn:
        return cls(phases=found.phase, new=found.new.min(axis=1) < found.old.min(axis=1))

    def __getitem__(self, frames: slice | NDArray[np.bool_]) -> _Worn:
        return _Worn(phases=self.phases[frames], new=self.new[frames])

    def drawn(self, truth: Truth) -> Frames:
        return np.where(self.new[:, None, None, None], truth.new.frames[self.phases], truth.old.frames[self.phases])

    def head(self, truth: Truth) -> Masks:
        return np.where(self.new[:, None, None], truth.new.head[self.phases], truth.old.head[self.phases])

    def person(self, truth: Truth) -> Masks:
        return np.where(self.new[:, None, None], truth.new.person[self.phases], truth.old.person[self.phases])


def _garment(post: Frames, settled: int, truth: Truth, found: Distances, rate: int) -> dict[str, float]:
    marks = garment_marks(post, truth, found)
    shown = shows_after(marks.nearer_new)
    frames = len(post) if shown is None else shown
    return {
        "nearer_new": float(marks.nearer_new.mean()),
        "shown_in_chunk": float(shown is not None and shown < max(settled, 1)),
        "shown_frames": float(frames),
        "shown_s": frames / rate,
        "leak": _mean(marks.leak[settled:]),
        "garment_delta_e": _mean(marks.delta_e[settled:]),
    }


def _pattern(frames: Frames, phases: Phases, expected: Expected) -> dict[str, float]:
    seen = signature(frames[::_EVERY], expected.truth.new.garment[phases[::_EVERY]])
    right = nearest_pattern(seen, expected.patterns) == expected.pattern
    drawn_period = period(expected.patterns[expected.pattern]) if expected.pattern in REPEATING else None
    seen_period = period(seen) if right and drawn_period else None
    return {
        "pattern": float(right),
        "pattern_seen": np.nan if expected.pattern == PLAIN else float(right),
        "period_error": abs(seen_period / drawn_period - 1) if seen_period and drawn_period else np.nan,
    }


def _appearance(post: Frames, expected: Expected, worn: _Worn) -> dict[str, float]:
    truth = expected.truth
    frames, worn = post[::_EVERY], worn[::_EVERY]
    marks = preservation_marks(frames, truth, worn.phases, worn.new)
    drawn = worn.drawn(truth)
    found, wanted = silhouettes(frames, truth.background), silhouettes(drawn, truth.background)
    return {
        "iou": float(iou(found, wanted).mean()),
        "head_delta_e": _mean(marks.head),
        "background_delta_e": _mean(marks.background),
        "body_delta_e": _mean(marks.body),
        "sharpness": sharpness(frames, drawn, worn.person(truth)),
    }


def _identity(post: Frames, expected: Expected, worn: _Worn) -> float:
    """Judged in frames next to a phase at which the other persons are drawn, against the own head at that phase."""
    step = expected.others_step
    offset = (worn.phases + 1) % step - 1
    near = abs(offset) <= 1
    if not near.any() or not expected.others:
        return np.nan
    at_grid = (worn.phases[near] - offset[near]) % expected.truth.new.phases
    worn = _Worn(phases=at_grid, new=worn.new[near])
    place = at_grid // step
    own = (worn.drawn(expected.truth), worn.head(expected.truth))
    others = ((other.frames[place], other.head[place]) for other in expected.others)
    return identity_rank(post[near], [own, *others])


def _boundaries(clip: Clip, truth: Truth, found: Distances, first: int) -> dict[str, float]:
    garment = truth.old.garment[found.nearest_old] | truth.new.garment[found.nearest_new]
    step = steps(clip.frames, garment)
    ordinary = [step[start - 1] for start in clip.starts[1:] if start != first]
    return {
        "jump": float(step[first - 1]) if first else np.nan,
        "ordinary": float(np.mean(ordinary)) if ordinary else np.nan,
    }


def _part(found: Distances, first: int, last: int) -> Distances:
    return Distances(old=found.old[first:last], new=found.new[first:last])


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
