"""What a record means: values count from the intended start, and a good session keeps every limit."""

from typing import Any

import pytest

from loadtest.judge import Judged, judge
from loadtest.measures import Measure
from loadtest.objectives import SessionLimits
from loadtest.record import Outcome, SwitchRecord
from loadtest.scenario import Player
from tests.loadtest.conftest import record

LIMITS: dict[str, Any] = {
    "opened_s": 0.2,
    "time_to_first_frame_s": 1,
    "chunk_lateness_s": 0.3,
    "stalls": 0,
    "rebuffer_ratio": 0,
    "realtime_factor": 0.9,
    "switch_acknowledged_s": 0.1,
    "switch_displayed_s": 2,
}


def judged(limits: dict[str, Any] | None = None, **changes: Any) -> Judged:
    return judge(record(**changes), Player(), SessionLimits(**(LIMITS if limits is None else limits)))


def broken(session: Judged) -> set[str]:
    return {limit.name for limit in session.broken}


def test_a_session_that_keeps_every_limit_is_good() -> None:
    session = judged()
    assert session.good
    assert session.values[Measure.REALTIME_FACTOR] == (1.0,)


def test_latencies_count_from_the_intended_start_though_the_generator_was_late() -> None:
    session = judged(began_s=10.4)
    assert session.values[Measure.FIRST_FRAME] == pytest.approx((0.5,))
    assert session.values[Measure.OPENED] == pytest.approx((0.1,))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"opened_s": 10.3}, {"opened_s"}),
        ({"chunk_received_s": (11.5, 12.5, 13.5)}, {"time_to_first_frame_s"}),
        (
            {"chunk_received_s": (10.5, 11.5, 13.0)},
            {"chunk_lateness_s", "stalls", "rebuffer_ratio", "realtime_factor"},
        ),
    ],
)
def test_a_broken_limit_spoils_a_session(changes: dict[str, Any], names: set[str]) -> None:
    session = judged(**changes)
    assert broken(session) == names
    assert not session.good


def test_lateness_counts_on_a_schedule_that_begins_with_the_first_chunk() -> None:
    session = judged(chunk_pts_s=(4.0, 5.0, 6.0), chunk_received_s=(10.5, 11.75, 12.5))
    assert session.values[Measure.CHUNK_LATENESS] == pytest.approx((0, 0.25, 0))


def test_a_session_that_failed_is_not_good_though_it_kept_every_limit() -> None:
    session = judged(outcome=Outcome.FAILED)
    assert not session.broken
    assert not session.good


def test_a_switchs_stages_count_from_when_it_was_due() -> None:
    switch = SwitchRecord(
        due_s=11.0, sent_s=11.2, acknowledged_s=11.3, applied_s=11.4, received_s=11.5, pts_s=1.0, refused=None
    )
    session = judged({}, switches=(switch,))
    assert session.values[Measure.SWITCH_ACKNOWLEDGED] == pytest.approx((0.3,))
    assert session.values[Measure.SWITCH_APPLIED] == pytest.approx((0.4,))
    assert session.values[Measure.SWITCH_RECEIVED] == pytest.approx((0.5,))
    # The player shows the first chunk from 10.5 to 11.5, then the one that shows the switch.
    assert session.values[Measure.SWITCH_DISPLAYED] == pytest.approx((0.5,))


def test_a_displayed_switch_waits_for_what_the_player_still_holds() -> None:
    switch = SwitchRecord(due_s=10.6, sent_s=10.6, acknowledged_s=10.6, applied_s=10.7, received_s=10.8, pts_s=2.0)
    session = judged({}, chunk_received_s=(10.5, 10.6, 10.8), switches=(switch,))
    assert session.values[Measure.SWITCH_DISPLAYED] == pytest.approx((1.9,))


@pytest.mark.parametrize(
    ("reason", "good"), [("SWITCH_SUPERSEDED", True), ("SESSION_ENDED", True), ("GARMENT_NOT_FOUND", False)]
)
def test_a_refused_switch_spoils_a_session_unless_a_later_one_won(reason: str, good: bool) -> None:
    switch = SwitchRecord(due_s=12.0, sent_s=12.0, refused=reason)
    assert judged(switches=(switch,)).good is good


@pytest.mark.parametrize("reason", ["SESSION_ENDED", None])
@pytest.mark.parametrize(("limit_s", "good"), [(2, False), (3, True)])
def test_a_switch_that_is_never_shown_was_waited_for_until_the_end_of_the_video(
    reason: str | None, limit_s: float, good: bool
) -> None:
    """It has no latency to break the limit with: the slowest would be the ones that count for nothing."""
    switch = SwitchRecord(due_s=11.0, sent_s=11.0, acknowledged_s=11.1, applied_s=None, refused=reason)
    session = judged({"switch_displayed_s": limit_s}, switches=(switch,))  # the last chunk plays from 12.5 to 13.5
    assert session.good is good
    assert Measure.SWITCH_DISPLAYED not in session.values


@pytest.mark.parametrize(("again_s", "good"), [(12.9, True), (13.2, False)])
def test_a_superseded_switch_was_waited_for_until_the_next(again_s: float, good: bool) -> None:
    first = SwitchRecord(due_s=11.0, sent_s=11.0, refused="SWITCH_SUPERSEDED")
    again = SwitchRecord(due_s=again_s, sent_s=again_s, refused="SESSION_ENDED")
    assert judged({"switch_displayed_s": 2}, switches=(first, again)).good is good


def test_a_slow_readers_own_stalls_are_not_held_against_the_service() -> None:
    session = judged(behaviour="slow", chunk_received_s=(10.5, 20.5, 30.5))
    assert session.good
    assert Measure.REBUFFER_RATIO not in session.values
    assert Measure.FIRST_FRAME in session.values


def test_a_rejection_has_one_value_the_time_until_the_answer() -> None:
    session = judged(
        outcome=Outcome.REJECTED,
        began_s=10.01,
        opened_s=None,
        ended_s=10.02,
        chunk_received_s=(),
        chunk_pts_s=(),
        chunk_duration_s=(),
    )
    assert session.values == {Measure.REJECTED_AFTER: pytest.approx((0.02,))}
    assert not session.good


def test_a_record_whose_columns_differ_in_length_cannot_be() -> None:
    with pytest.raises(ValueError, match="one length"):
        record(chunk_pts_s=())
