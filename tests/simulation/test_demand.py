"""Arrivals: as dense as asked for, the same for the same seed."""

import itertools
import statistics

import numpy as np
import pytest

from simulation.demand import concurrent, mean_length_s, visits
from simulation.scenario import Demand

DEMAND = Demand(base_sessions=50, median_s=60, sigma=0.5, max_s=600, switches_per_minute=2)


def test_arrivals_times_mean_length_is_the_wanted_concurrency() -> None:
    count = sum(1 for _ in visits(DEMAND, hours=6, seed=1))
    assert count * mean_length_s(DEMAND) / (6 * 3600) == pytest.approx(50, rel=0.05)


def test_the_mean_length_is_that_of_the_lengths_that_are_drawn() -> None:
    drawn = statistics.mean(visit.length_s for visit in visits(DEMAND, hours=6, seed=1))
    assert mean_length_s(DEMAND) == pytest.approx(drawn, rel=0.02)


def test_a_peak_is_a_bell_that_midnight_does_not_cut() -> None:
    peak = {"peaks": [{"at_h": 23.5, "sessions": 100, "width_h": 1.0}]}
    late = Demand.model_validate(DEMAND.model_dump() | peak)
    found = concurrent(late, 3600 * np.array([23.5, 22.5, 0.5, 11.5]))
    assert found == pytest.approx([150, 50 + 100 * np.exp(-0.5), 50 + 100 * np.exp(-0.5), 50])


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    days = [list(itertools.islice(visits(DEMAND, hours=1, seed=seed), 50)) for seed in (1, 1, 2)]
    assert days[0] == days[1] != days[2]


def test_visits_come_in_order_and_switch_while_they_last() -> None:
    day = list(visits(DEMAND, hours=1, seed=3))
    assert all(a.at_s <= b.at_s for a, b in itertools.pairwise(day))
    assert all(0 <= t <= visit.length_s <= 600 for visit in day for t in visit.switches_s)
    per_minute = sum(len(v.switches_s) for v in day) / sum(v.length_s / 60 for v in day)
    assert per_minute == pytest.approx(2, rel=0.1)


def test_peaks_and_surges_bring_more() -> None:
    extra = {
        "peaks": [{"at_h": 1, "sessions": 100, "width_h": 0.2}],
        "surges": [{"at_h": 3, "factor": 4, "minutes": 30}],
    }
    busy = Demand.model_validate(DEMAND.model_dump() | extra)
    by_half_hour = [0] * 8
    for visit in visits(busy, hours=4, seed=1):
        by_half_hour[int(visit.at_s // 1800)] += 1
    assert by_half_hour[6] == pytest.approx(4 * statistics.mean((by_half_hour[5], by_half_hour[7])), rel=0.2)
    assert min(by_half_hour[1:3]) > 1.5 * by_half_hour[4]
