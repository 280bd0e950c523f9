"""The search: doubles, halves, and says how sure it is."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.search import Search, Trial


@given(capacity=st.integers(0, 300), low=st.integers(1, 20), high=st.integers(20, 256))
def test_it_finds_a_sharp_capacity_within_its_resolution(capacity: int, low: int, high: int) -> None:
    search = Search(probe=lambda sessions, _: sessions <= capacity, low=low, high=high, repeats=1)
    found = search.run()
    if capacity < low:
        assert found == 0
    else:
        assert found <= capacity
        assert min(capacity, high) - found <= max(1, 0.05 * found)


def test_it_never_asks_for_more_than_its_bound() -> None:
    asked: list[int] = []
    search = Search(probe=lambda sessions, _: asked.append(sessions) is None, low=3, high=20, repeats=1)
    assert search.run() == 20
    assert asked == [3, 6, 12, 20]
    assert search.interval == (20, None)


def test_a_noisy_boundary_shows_in_the_interval() -> None:
    random = Random(3)

    def probe(sessions: int, _: int) -> bool:
        """Always to 10, never from 21 on, by chance between."""
        return sessions <= 10 or (sessions <= 20 and random.random() < 0.5)

    search = Search(probe=probe, low=1, high=64, repeats=5)
    found = search.run()
    surely, never = search.interval
    assert never is not None
    assert surely <= 10 <= found <= never <= 31


def test_the_majority_of_repeats_decides_and_the_interval_is_where_all_and_none_meet() -> None:
    def probe(sessions: int, repeat: int) -> bool:
        """Always to 5, once in three at 6 and 7, never from 8 on."""
        return sessions <= 5 or (sessions <= 7 and repeat == 0)

    search = Search(probe=probe, low=1, high=16, repeats=3)
    assert search.run() == 5
    assert search.interval == (5, 7)


def test_a_probe_that_cannot_be_judged_ends_it_and_its_number_counts_in_nothing() -> None:
    def probe(sessions: int, repeat: int) -> bool:
        if sessions > 4 and repeat:
            raise RuntimeError("the generator was late")
        return True

    search = Search(probe=probe, low=1, high=64, repeats=3)
    with pytest.raises(RuntimeError, match="the generator was late"):
        search.run()
    assert (search.most, search.interval) == (4, (4, None))
    assert search.trials[-1] == Trial(sessions=8, met=[True])


@pytest.mark.parametrize(("low", "high", "repeats"), [(0, 4, 1), (5, 4, 1), (1, 4, 0)])
def test_impossible_bounds_are_refused(low: int, high: int, repeats: int) -> None:
    with pytest.raises(ValueError, match="a search needs"):
        Search(probe=lambda _sessions, _repeat: True, low=low, high=high, repeats=repeats)
