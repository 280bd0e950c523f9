"""Arrivals: decided by the seed and the process, whatever the service does."""

import itertools
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from loadtest.arrivals import Arrivals, scaled, times

ARRIVALS: TypeAdapter[Any] = TypeAdapter(Arrivals)


def at(process: dict[str, Any], *, duration_s: float = 10.0, seed: int = 1) -> list[float]:
    return times(ARRIVALS.validate_python(process), duration_s=duration_s, random=Random(seed))


def test_constant_arrivals_are_evenly_spaced_from_the_windows_start() -> None:
    assert at({"process": "constant", "rate_per_s": 2, "start_s": 1, "end_s": 3}) == [1.0, 1.5, 2.0, 2.5]


def test_poisson_arrivals_have_the_rate_and_exponential_gaps() -> None:
    found = at({"process": "poisson", "rate_per_s": 5}, duration_s=2000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.2, rel=0.05)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance == pytest.approx(0.04, rel=0.15)  # of an exponential distribution: mean squared


def test_the_same_seed_gives_the_same_arrivals_and_another_one_others() -> None:
    process = {"process": "poisson", "rate_per_s": 3}
    assert at(process, seed=1) == at(process, seed=1) != at(process, seed=2)


def test_a_ramp_brings_as_many_as_its_mean_rate_and_ever_faster() -> None:
    found = at({"process": "ramp", "from_per_s": 0, "to_per_s": 4})
    assert len(found) == 20
    first_half = sum(time < 5 for time in found)
    assert first_half == pytest.approx(5, abs=1)


def test_a_ramp_may_fall() -> None:
    rising = at({"process": "ramp", "from_per_s": 1, "to_per_s": 3})
    falling = at({"process": "ramp", "from_per_s": 3, "to_per_s": 1})
    assert len(rising) == len(falling)
    assert sum(time < 5 for time in falling) > sum(time < 5 for time in rising)


def test_a_trace_is_sorted_and_cut_to_the_run() -> None:
    assert at({"process": "trace", "at_s": [3, 1, 12], "start_s": 0.5}) == [1, 3]


@given(
    first=st.floats(0, 50, allow_nan=False),
    last=st.floats(0, 50, allow_nan=False),
    duration_s=st.floats(0.1, 30),
)
def test_ramps_ascend_within_the_run(first: float, last: float, duration_s: float) -> None:
    if first == last == 0:
        return
    found = at({"process": "ramp", "from_per_s": first, "to_per_s": last}, duration_s=duration_s)
    assert found == sorted(found)
    assert all(0 <= time <= duration_s for time in found)
    assert abs(len(found) - (first + last) / 2 * duration_s) <= 1


@pytest.mark.parametrize(
    "process",
    [
        {"process": "poisson", "rate_per_s": 20},
        {"process": "constant", "rate_per_s": 2},
        {"process": "ramp", "from_per_s": 1, "to_per_s": 3},
        {"process": "trace", "at_s": [1, 2, 3]},
    ],
)
def test_a_scale_brings_as_many_times_the_arrivals(process: dict[str, Any]) -> None:
    arrivals = ARRIVALS.validate_python(process)
    once = times(arrivals, duration_s=10, random=Random(1))
    thrice = times(scaled(arrivals, 3), duration_s=10, random=Random(1))
    assert len(thrice) == pytest.approx(3 * len(once), rel=0.1)


def test_a_trace_is_scaled_by_whole_numbers_only() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        scaled(ARRIVALS.validate_python({"process": "trace", "at_s": [1]}), 1.5)
