"""Means with bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.intervals import difference, interval


def test_the_interval_holds_the_mean_and_narrows_with_cases() -> None:
    draw = np.random.default_rng(0)
    few, many = (interval(list(draw.normal(3, 1, count))) for count in (10, 1000))
    assert few.low < few.mean < few.high
    assert many.high - many.low < few.high - few.low


def test_cases_without_a_mark_are_left_out() -> None:
    found = interval([1.0, float("nan"), 3.0])
    assert (found.mean, found.cases) == (2.0, 2)
    assert interval([float("nan")]).cases == 0


def test_a_ratio_is_one_of_means() -> None:
    assert interval([1.0, 9.0], over=[1.0, 1.0]).mean == 5.0
    assert interval([1.0, 9.0], over=[1.0, 3.0]).mean == 2.5


def test_a_difference_pairs_the_cases() -> None:
    found = difference([1.1, 5.1, 9.1], [1.0, 5.0, 9.0])
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


def test_marks_of_other_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="same cases"):
        interval([1.0], over=[1.0, 2.0])
