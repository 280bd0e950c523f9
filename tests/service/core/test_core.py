"""The pure core under a virtual clock."""

import itertools
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.cache_plan import Policy
from service.core.core import ENGINE_GRACE_S
from service.core.ended import KEPT_S
from service.core.errors import (
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from service.core.events import (
    ChunkInfo,
    Cursor,
    Draining,
    Ended,
    EndReason,
    Pacing,
    State,
    Switch,
    SwitchAccepted,
    SwitchApplied,
    SwitchRejected,
)
from service.core.session import ATTACH_GRACE_S
from service.core.simulation import Simulation, StepTimes
from tests.service.core.driving import CHUNK_S, CONFIG, assert_books_balance, chunks, make_core, open_session, request


def test_a_session_streams_its_video_without_gaps_and_ends_completed() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.run()
    made = chunks(sim)
    assert [chunk.sequence for chunk in made] == list(range(len(made)))
    assert made[0].frame_count == 9
    assert all(chunk.frame_count == 12 for chunk in made[1:])
    assert all(b.first_frame == a.first_frame + a.frame_count for a, b in itertools.pairwise(made))
    assert made[-1].pts_s < CONFIG.max_duration_s <= made[-1].pts_s + made[-1].duration_s
    assert sim.told["s"][-1] == Ended(reason=EndReason.COMPLETED, message="", generated_s=made[-1].pts_s + 1.0)
    assert_books_balance(sim)


def test_decoding_overlaps_the_next_chunks_passes() -> None:
    """Five passes of 0.04 s and a decode of 0.15 s: a chunk every 0.2 s, not every 0.35 s."""
    sim = Simulation(make_core())
    open_session(sim)
    sim.run()
    count = len(chunks(sim))
    assert sim.ended_s["s"] < 0.3 + 0.21 * count


def test_a_slow_decoder_sets_the_pace_and_no_backlog_delays_a_switch() -> None:
    """With one chunk being decoded and one waiting, the next begins only when it can be of use."""
    sim = Simulation(make_core(), times=StepTimes(decode_s=1.0))
    open_session(sim)
    ahead = []

    def ask(event_id: str) -> None:
        accepted = request(sim, Switch(event_id=event_id, garment="h", policy=Policy.REFRESH))
        ahead.append(accepted.earliest_sequence - len(chunks(sim)))

    for number in range(20):
        sim.at(3.0 + 0.37 * number, lambda number=number: ask(f"e{number}"))
    sim.run()
    assert max(ahead) == 2
    assert sim.ended_s["s"] == pytest.approx(0.3 + len(chunks(sim)), abs=0.1)


def test_real_time_sessions_run_at_most_two_chunks_ahead() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(CONFIG, pacing=Pacing.REALTIME, max_duration_s=20.0))
    for tenth in range(200):
        at = tenth / 10
        sim.run(until_s=at)
        origin = 0.5  # the first chunk is out by then
        shown_and_two_more = 3 * CHUNK_S
        assert sum(c.duration_s for c in chunks(sim)) <= max(0.0, at - origin) + shown_and_two_more
    sim.run()
    assert sim.ended_s["s"] == pytest.approx(18.0, abs=1.5), "20 s of video take as long as that, less the lead"
    assert sim.core.late_chunks == 0


def test_without_a_reader_two_chunks_are_made_and_the_session_is_abandoned_in_time() -> None:
    sim = Simulation(make_core())
    open_session(sim, attach=False)
    sim.run(until_s=ATTACH_GRACE_S - 1)
    assert sim.core.view("s").generated_s == pytest.approx(21 / 12)
    sim.run()
    assert sim.told["s"][-1].reason is EndReason.ABANDONED
    assert sim.ended_s["s"] == pytest.approx(ATTACH_GRACE_S)
    assert_books_balance(sim)


def test_a_lost_reader_frees_the_block_after_the_grace() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(CONFIG, max_duration_s=3600.0))
    sim.run(until_s=1.0)
    sim.core.detach("s", sim.now)
    sim.run()
    assert sim.told["s"][-1].reason is EndReason.ABANDONED
    assert sim.ended_s["s"] <= 1.0 + CONFIG.detach_grace_s + 0.01
    assert_books_balance(sim)


def test_credits_bound_what_is_made() -> None:
    sim = Simulation(make_core())
    open_session(sim, attach=True)
    sim.core.grant("s", 2)
    sim.run(until_s=20.0)
    assert len(chunks(sim)) == 2
    sim.core.grant("s", 3)
    sim.core.grant("s", 3)
    sim.run(until_s=40.0)
    assert len(chunks(sim)) == 5, "unused credits never exceed three"


def test_a_paused_session_makes_nothing_until_it_resumes() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.run(until_s=1.0)
    sim.core.pause("s")
    sim.run(until_s=1.5)
    made = len(chunks(sim))
    sim.run(until_s=30.0)
    assert len(chunks(sim)) == made
    sim.core.resume("s")
    sim.run()
    assert sim.told["s"][-1].reason is EndReason.COMPLETED


def test_what_comes_behind_a_pause_is_not_late() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(CONFIG, pacing=Pacing.REALTIME))
    sim.at(3.0, lambda: sim.core.pause("s"))
    sim.at(30.0, lambda: sim.core.resume("s"))
    sim.run()
    assert sim.told["s"][-1].reason is EndReason.COMPLETED
    assert sim.core.late_chunks == 0


def test_an_opening_session_has_a_place_and_drains_once_it_is_open() -> None:
    core = make_core()
    assert core.open("s", CONFIG, now=0.0, created_s=0.0).next == Cursor(segment=0, chunk=0)
    core.drain(5.0, 0.0)
    assert core.view("s").state is State.OPENING
    core.opened("s", 0.0)
    assert core.view("s").state is State.DRAINING


def test_an_opening_session_cannot_pause() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    with pytest.raises(FailedPrecondition, match="cannot pause") as caught:
        sim.core.pause("s")
    assert caught.value.reason == "SESSION_OPENING"


def test_a_tenants_quota_is_its_own() -> None:
    sim = Simulation(make_core(blocks=4, max_sessions_per_tenant=1))
    open_session(sim, "a")
    with pytest.raises(ResourceExhausted) as caught:
        open_session(sim, "b")
    assert caught.value.reason == "TENANT_QUOTA"
    open_session(sim, "c", replace(CONFIG, tenant="other"))


def test_unknown_and_ended_sessions_are_told_apart() -> None:
    sim = Simulation(make_core())
    with pytest.raises(NotFound, match="no session x"):
        sim.core.switch("x", Switch(event_id="e", garment="h"), 0.0)
    open_session(sim)
    sim.run(until_s=30.0)
    assert sim.core.view("s").state is State.ENDED
    with pytest.raises(FailedPrecondition) as caught:
        sim.core.switch("s", Switch(event_id="e", garment="h"), sim.now)
    assert caught.value.reason == "SESSION_ENDED"


def test_ended_sessions_are_known_for_five_minutes() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.run(until_s=30.0)
    ended_s = sim.ended_s["s"]
    sim.run(until_s=ended_s + KEPT_S - 0.1)
    assert [view.id for view in sim.core.views()] == ["s"]
    sim.run(until_s=ended_s + KEPT_S + 0.1)
    assert sim.core.views() == []
    with pytest.raises(NotFound):
        sim.core.view("s")


def test_a_step_lost_with_the_engine_is_repeated_and_nothing_else() -> None:
    core = make_core()
    core.open("s", CONFIG, now=0.0, created_s=0.0)
    core.attach("s")
    core.opened("s", 0.0)
    (step,) = core.next_steps(0.0)
    core.engine_down(0.1)
    core.step_returned(step, 0.1)
    assert core.next_steps(0.2) == []
    with pytest.raises(Unavailable, match="restarting"):
        core.open("t", CONFIG, now=0.2, created_s=0.2)
    core.engine_up(kept=True)
    (again,) = core.next_steps(1.0)
    assert replace(again, id=step.id, deadline_s=step.deadline_s) == step


def test_an_engine_that_lost_its_memory_or_stays_away_ends_sessions_with_the_reason() -> None:
    for kept_away in (False, True):
        sim = Simulation(make_core())
        open_session(sim)
        sim.run(until_s=1.0)
        sim.core.pause("s")
        sim.run(until_s=3.0)  # nothing is in flight
        sim.now = 3.0
        sim.core.engine_down(sim.now)
        if kept_away:
            sim.run()
            assert sim.ended_s["s"] == pytest.approx(3.0 + ENGINE_GRACE_S, abs=0.1)
        else:
            sim.core.engine_up(kept=False)
            sim.run(until_s=4.0)
        ended = sim.told["s"][-1]
        assert ended.reason is EndReason.LOST
        assert ("ENGINE_DOWN" if kept_away else "SESSION_LOST") in ended.message
        assert_books_balance(sim)


def test_a_session_that_was_only_opening_outlives_an_engine_that_lost_its_memory() -> None:
    sim = Simulation(make_core(), times=StepTimes(encode_s=1.0))
    open_session(sim)
    sim.core.engine_down(sim.now)
    sim.core.engine_up(kept=False)
    sim.run()
    assert sim.told["s"][-1].reason is EndReason.COMPLETED


def test_the_grace_counts_from_when_the_engine_was_lost_however_often_that_is_told() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.at(1.0, lambda: sim.core.engine_down(sim.now))
    sim.at(30.0, lambda: sim.core.engine_down(sim.now))
    sim.run()
    assert sim.ended_s["s"] == pytest.approx(1.0 + ENGINE_GRACE_S)


def test_a_session_that_has_ended_keeps_no_one_out_though_the_engine_still_works_for_it() -> None:
    """Of the tenant's sessions there may be one, and the engine keeps up with one."""
    core = make_core(max_sessions_per_tenant=1, chunk_cost_s=0.6)
    config = replace(CONFIG, pacing=Pacing.REALTIME)
    core.open("a", config, now=0.0, created_s=0.0)
    core.opened("a", 0.0)
    (step,) = core.next_steps(0.0)
    core.end("a", EndReason.STOPPED)
    assert core.open("b", config, now=0.0, created_s=0.0).state is State.OPENING
    core.step_done(step, seconds=0.0, queued=0.0, now=1.0)
    core.take_effects(1.0)
    core.check_integrity()


def test_a_reader_that_comes_back_finds_its_clock_stopped() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(CONFIG, pacing=Pacing.REALTIME, max_duration_s=60.0, detach_grace_s=60.0))
    sim.run(until_s=5.0)
    sim.core.detach("s", sim.now)
    sim.unread.add("s")
    before = len(chunks(sim))
    sim.run(until_s=25.0)
    sim.now = 25.0
    sim.unread.clear()
    sim.core.attach("s")
    for info in chunks(sim)[before:]:
        sim.core.sent("s", info, sim.now)
    sim.run(until_s=40.0)
    assert sim.core.view("s").generated_s > 15.0
    assert sim.core.late_chunks == 0


def test_a_clock_that_was_late_once_starts_anew() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(CONFIG, pacing=Pacing.REALTIME, max_duration_s=60.0))
    sim.at(10.0, lambda: sim.core.engine_down(sim.now))
    sim.at(20.0, lambda: sim.core.engine_up(kept=True))
    sim.run(until_s=50.0)
    assert sim.core.late_chunks == 1


def test_draining_refuses_sessions_serves_switches_and_ends_what_is_left() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(CONFIG, max_duration_s=3600.0))
    sim.run(until_s=1.0)
    sim.core.drain(5.0, sim.now)
    with pytest.raises(Unavailable, match="shutting down"):
        open_session(sim, "t")
    request(sim, Switch(event_id="e", garment="h"))
    sim.core.resume("s")
    assert sim.core.view("s").state is State.DRAINING
    sim.run()
    assert Draining(grace_s=5.0) in sim.told["s"]
    assert any(isinstance(t, SwitchApplied) for t in sim.told["s"])
    assert sim.told["s"][-1].reason is EndReason.DRAINED
    assert sim.ended_s["s"] == pytest.approx(6.0, abs=0.5)
    assert_books_balance(sim)


def test_a_thousand_sessions_share_the_engine_and_the_books_balance() -> None:
    """Every session gets its video; equal sessions progress alike; every block comes back."""
    sim = Simulation(make_core(blocks=1000), times=StepTimes(pass_s=0.0004, prefill_s=0.0002, decode_s=0.0015))
    for i in range(1000):
        open_session(sim, f"s{i}", replace(CONFIG, pacing=Pacing.UNPACED, max_duration_s=4.0))
    for i in range(0, 1000, 10):
        sim.at(2.0, lambda i=i: request(sim, Switch(event_id="e", garment="h"), f"s{i}"))
    sim.run(until_s=5.0)
    progress = [sim.core.view(f"s{i}").generated_s for i in range(1000)]
    assert statistics.pstdev(progress) < CHUNK_S, "nobody starves"
    sim.run()
    assert all(sim.told[f"s{i}"][-1].reason is EndReason.COMPLETED for i in range(1000))
    assert_books_balance(sim)


inputs = st.lists(
    st.tuples(
        st.floats(0.0, 6.0),
        st.integers(0, 4),
        st.sampled_from(["open", "switch", "later", "pause", "resume", "detach", "attach", "end", "grant", "down"]),
    ),
    max_size=40,
)


@given(inputs)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_the_books_balance_and_every_stream_is_in_order(
    sequence: list[tuple[float, int, str]],
) -> None:
    sim = Simulation(make_core(blocks=3))
    counter = iter(range(10_000))

    def act(who: str, what: str) -> None:
        core = sim.core
        try:
            if what == "open":
                open_session(sim, who)
            elif what in ("switch", "later"):
                not_before = 2.0 if what == "later" else 0.0
                number = next(counter)
                request(sim, Switch(event_id=f"e{number}", garment=f"h{number}", not_before_s=not_before), who)
            elif what == "detach":
                core.detach(who, sim.now)
            elif what == "grant":
                core.grant(who, 2)
            elif what == "end":
                core.end(who, EndReason.STOPPED)
            elif what == "down":
                core.engine_down(sim.now)
                sim.at(sim.now + 0.3, lambda: core.engine_up(kept=True))
            else:
                getattr(core, what)(who)
        except (NotFound, FailedPrecondition, ResourceExhausted, Unavailable):
            pass  # refused inputs are part of the game; what counts is that they change nothing
        core.check_integrity()

    opened: set[str] = set()
    for when, session, what in sorted(sequence):
        who = f"s{session}"
        if what == "open":
            if who in opened:
                continue
            opened.add(who)
        sim.at(when, lambda who=who, what=what: act(who, what))
    sim.run(until_s=6.0)
    for who in opened:
        sim.core.end(who, EndReason.STOPPED)
    sim.run()
    assert_books_balance(sim)
    for told in sim.told.values():
        made = [t for t in told if isinstance(t, ChunkInfo)]
        assert [c.sequence for c in made] == list(range(len(made)))
        assert [c.cursor for c in made] == sorted(c.cursor for c in made)
        assert sum(isinstance(t, Ended) for t in told) == 1
        assert isinstance(told[-1], Ended)
        accepted = [t.event_id for t in told if isinstance(t, SwitchAccepted)]
        answered = [t.event_id for t in told if isinstance(t, SwitchApplied | SwitchRejected)]
        assert len(answered) == len(set(answered))
        assert set(answered) <= set(accepted)
