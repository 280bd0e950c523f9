"""The player's model: what a person would have seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.player import Stall, play


def test_it_shows_each_chunk_when_the_one_before_is_over() -> None:
    playback = play([0.5, 1.0, 1.2], [1.0, 1.0, 1.0], start_buffer_s=1.0, resume_buffer_s=1.0)
    assert playback is not None
    assert playback.shown_s == (0.5, 1.5, 2.5)
    assert playback.ended_s == 3.5
    assert not playback.stalls
    assert playback.rebuffer_ratio == 0


def test_it_starts_once_its_buffer_is_full() -> None:
    playback = play([0.5, 1.0, 4.0], [1.0, 1.0, 1.0], start_buffer_s=1.5, resume_buffer_s=1.0)
    assert playback is not None
    assert playback.shown_s[0] == 1.0


def test_a_late_chunk_stalls_it_until_the_buffer_is_filled_again() -> None:
    playback = play([10.0, 13.0, 13.5], [1.0, 1.0, 1.0], start_buffer_s=1.0, resume_buffer_s=2.0)
    assert playback is not None
    assert playback.stalls == (Stall(at_s=11.0, length_s=2.5),)
    assert playback.shown_s == (10.0, 13.5, 14.5)
    assert playback.rebuffer_ratio == pytest.approx(2.5 / 5.5)


def test_the_end_of_the_stream_fills_any_buffer() -> None:
    playback = play([0.5], [1.0], start_buffer_s=30, resume_buffer_s=30)
    assert playback is not None
    assert playback.shown_s == (0.5,)


def test_nothing_received_is_nothing_shown() -> None:
    assert play([], [], start_buffer_s=1, resume_buffer_s=1) is None


@given(
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=30),
    lasts=st.floats(0.1, 2),
    start_buffer_s=st.floats(0, 5),
    resume_buffer_s=st.floats(0, 5),
)
def test_no_frame_is_shown_before_it_came_and_time_is_accounted_for(
    gaps: list[float], lasts: float, start_buffer_s: float, resume_buffer_s: float
) -> None:
    received = [sum(gaps[: count + 1]) for count in range(len(gaps))]
    durations = [lasts] * len(received)
    playback = play(received, durations, start_buffer_s=start_buffer_s, resume_buffer_s=resume_buffer_s)
    assert playback is not None
    assert all(shown >= came - 1e-6 for shown, came in zip(playback.shown_s, received, strict=True))
    watched = playback.ended_s - playback.shown_s[0]
    assert watched == pytest.approx(sum(durations) + playback.stalled_s)
    assert 0 <= playback.rebuffer_ratio < 1
