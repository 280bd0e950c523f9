"""Means over cases with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_SEED = 20260101
"""Of the resampling alone: the same marks always give the same interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over `cases` cases and its 95 % percentile interval; NaN where no case has a mark."""

    mean: float
    low: float
    high: float
    cases: int


def interval(values: Sequence[float], over: Sequence[float] | None = None) -> Interval:
    """The mean of one mark a case; with `over`, the ratio of two means over the same cases.

    Cases without a mark (NaN) are left out.
    """
    top = np.asarray(values, np.float64)
    bottom = np.ones_like(top) if over is None else np.asarray(over, np.float64)
    if top.shape != bottom.shape:
        raise ValueError(f"{len(top)} marks over {len(bottom)}: they must come from the same cases")
    known = np.isfinite(top) & np.isfinite(bottom)
    top, bottom = top[known], bottom[known]
    if not len(top):
        return Interval(mean=np.nan, low=np.nan, high=np.nan, cases=0)
    drawn = _ratio(top[_resamples(len(top))], bottom[_resamples(len(top))])
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(mean=float(_ratio(top, bottom)), low=float(low), high=float(high), cases=len(top))


def difference(values: Sequence[float], baseline: Sequence[float]) -> Interval:
    """The mean of `values` less that of `baseline`, case by case."""
    return interval(list(np.asarray(values, np.float64) - np.asarray(baseline, np.float64)))


def _resamples(cases: int) -> NDArray[np.intp]:
    return np.random.default_rng(_SEED).integers(cases, size=(_RESAMPLES, cases))


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = bottom.mean(axis=-1)
    return np.divide(top.mean(axis=-1), mean, out=np.full(mean.shape, np.nan), where=mean != 0)
