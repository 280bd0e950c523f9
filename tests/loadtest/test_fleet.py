"""How seats are shared out among workers."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.fleet import shared_out
from loadtest.plan import open_loop
from tests.loadtest.conftest import content, scenario


def _kinds(count: int) -> list[dict[str, object]]:
    return [{**content()["kinds"][0], "name": f"kind{number}"} for number in range(count)]


@given(kinds=st.integers(1, 4), workers=st.integers(1, 6), duration_s=st.integers(1, 8))
def test_every_seat_has_one_worker_and_no_more_workers_are_used_than_asked(
    kinds: int, workers: int, duration_s: int
) -> None:
    seats = open_loop(scenario(kinds=_kinds(kinds), duration_s=duration_s))
    shares = shared_out(seats, workers)
    assert len(shares) <= workers
    assert sorted(seat[0].index for share in shares for seat in share) == list(range(len(seats)))


@given(kinds=st.integers(1, 4), spare=st.integers(0, 4))
def test_kinds_have_workers_of_their_own_where_there_are_enough(kinds: int, spare: int) -> None:
    shares = shared_out(open_loop(scenario(kinds=_kinds(kinds), duration_s=8)), kinds + spare)
    assert all(len({seat[0].kind for seat in share}) == 1 for share in shares)
