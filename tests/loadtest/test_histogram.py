"""Values: percentiles to three digits, and an interval that says how sure a percentile is."""

from random import Random

import pytest

from loadtest.histogram import Values


def test_percentiles_are_right_to_three_digits_over_the_whole_range() -> None:
    values = Values([0.000_020, 0.5, 1800.0])
    assert values.percentiles((10, 50, 100)) == pytest.approx([0.000_020, 0.5, 1800.0], rel=1e-3)
    assert (values.low, values.high) == pytest.approx((0.000_020, 1800.0), rel=1e-3)


def test_it_comes_back_whole_from_its_encoding() -> None:
    values = Values(Random(1).expovariate(1.0) for _ in range(1000))
    again = Values.decoded(values.encoded())
    assert again.count == 1000
    assert again.percentiles((1, 50, 99, 99.9)) == values.percentiles((1, 50, 99, 99.9))


def test_two_together_are_as_one_of_all_values() -> None:
    one, other, all_ = Values([1.0, 2.0]), Values([3.0]), Values([1.0, 2.0, 3.0])
    one.add_all(other)
    assert one.percentiles((0, 50, 100)) == all_.percentiles((0, 50, 100))


def test_a_percentiles_interval_holds_the_true_one_about_95_times_in_100() -> None:
    random, hits = Random(7), 0
    for _ in range(200):
        interval = Values(random.random() for _ in range(400)).percentile_interval(90)
        assert interval is not None
        hits += interval[0] <= 0.9 <= interval[1]
    assert hits >= 180


def test_too_few_values_give_no_interval() -> None:
    assert Values([1.0] * 20).percentile_interval(99) is None


def test_no_values_have_no_percentiles() -> None:
    assert Values().percentiles((50, 99)) == [0.0, 0.0]


def test_a_stall_counts_for_all_the_time_it_took() -> None:
    """A second of a minute, looked at every 20 ms: by one value of 2950 the 99th percentile would not know of it."""
    lag = Values()
    for late_s in [0.0] * 2950 + [1.0]:
        lag.add_lag(late_s, 0.02)
    assert lag.count == 3000
    assert lag.percentile(99) == pytest.approx(0.4, abs=0.03)
    assert lag.high == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("value", [-0.1, 1e6, float("nan")])
def test_a_value_outside_the_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Values().add(value)
