"""What a day comes to: cost and shares."""

import pytest

from simulation.day import Day
from simulation.gateway import Books
from simulation.results import shares


def day(**counts: int) -> Day:
    """Two node-hours of eight pods at 3 an hour, for ten minutes of watching."""
    return Day(
        policy="p",
        books=Books(watched_s=600.0, **counts),
        timeline=(),
        paid_node_s=7200.0,
        pods_per_node=8,
        price_per_hour=3.0,
        engines_failed=0,
        nodes_failed=0,
        utilisation=0.0,
    )


def test_cost_is_of_paid_nodes_for_each_minute_watched() -> None:
    assert day().cost_per_session_minute == pytest.approx(0.6)
    assert day().pod_minutes_per_session_minute == pytest.approx(96)


def test_shares_are_of_those_who_asked_or_of_those_who_were_let_in() -> None:
    found = shares(day(asked=20, turned_away=10, admitted=10, completed=6, drained=1, lost=1, good=5))
    assert (found["turned_away"], found["drained"], found["lost"]) == pytest.approx((10 / 20, 1 / 8, 1 / 8))
    assert found["good"] == pytest.approx(5 / 18), "nobody who was turned away had a good session"
