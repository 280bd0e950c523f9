"""When credits go back."""

from __future__ import annotations

from chameleon import Pacing
from chameleon.playout import CREDITS, Credits, PlayoutClock


def test_unpaced_credits_go_back_at_once() -> None:
    assert PlayoutClock(pacing=Pacing.UNPACED).taken(pts_s=5.0, duration_s=1.0, now=3.0) == 3.0


def test_a_real_time_reader_gives_a_credit_back_once_the_chunk_has_been_played() -> None:
    clock = PlayoutClock(pacing=Pacing.REALTIME)
    assert clock.taken(pts_s=0.0, duration_s=0.75, now=10.0) == 10.75
    assert clock.taken(pts_s=0.75, duration_s=1.0, now=10.1) == 11.75


def test_a_late_chunk_sets_the_clock_back() -> None:
    clock = PlayoutClock(pacing=Pacing.REALTIME)
    clock.taken(pts_s=0.0, duration_s=1.0, now=0.0)
    assert clock.taken(pts_s=1.0, duration_s=1.0, now=4.0) == 5.0
    assert clock.taken(pts_s=2.0, duration_s=1.0, now=4.5) == 6.0


def test_what_was_made_before_a_stream_uses_none_of_its_credits() -> None:
    credits = Credits(made_s=2.0)
    assert credits.caught_up(1.0) == 0
    assert not credits.used_by(pts_s=1.0)
    assert credits.caught_up(2.0) == CREDITS - 1
    assert credits.caught_up(3.0) == 0
    assert credits.used_by(pts_s=2.0)
