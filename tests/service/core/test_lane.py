"""Which of the runnable sessions a lane dispatches next."""

from service.core.lane import Lane


def dispatched(lane: Lane, now: float, *, background: frozenset[str] = frozenset()) -> list[str]:
    """All that the lane has room for; they stay in flight."""
    sessions = []
    for session in lane.pop_runnable(now):
        lane.begin(background=session in background)
        sessions.append(session)
    return sessions


def test_the_earliest_deadline_is_first_and_equal_ones_go_in_turn() -> None:
    lane = Lane(3)
    for session, deadline_s in (("c", 2.0), ("a", 1.0), ("d", 2.0), ("b", 1.0)):
        lane.push(session, deadline_s, background=False)
    assert dispatched(lane, 0.0) == ["a", "b", "c"]
    lane.finish(background=False)
    assert dispatched(lane, 0.0) == ["d"]


def test_a_session_is_queued_once_until_it_is_dispatched() -> None:
    lane = Lane(4)
    for _ in range(2):
        lane.push("a", 1.0, background=False)
    assert dispatched(lane, 0.0) == ["a"]
    lane.push("a", 2.0, background=False)
    assert dispatched(lane, 0.0) == ["a"]


def test_background_work_waits_for_all_other_until_its_deadline_and_then_for_none() -> None:
    lane, background = Lane(2), frozenset({"unpaced"})
    lane.push("a", 100.0, background=False)
    lane.push("unpaced", 60.0, background=True)
    assert dispatched(lane, 0.0, background=background) == ["a"]
    lane.push("b", 1.0, background=False)
    assert dispatched(lane, 60.0, background=background) == ["unpaced"], "though another has the earlier deadline"
    for is_background in (False, True):
        lane.finish(background=is_background)
    assert dispatched(lane, 60.0, background=background) == ["b"]
