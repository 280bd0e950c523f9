"""Garment switches in the core, under a virtual clock."""

from dataclasses import replace

import pytest

from contract.cache_plan import Policy
from service.core.errors import (
    AlreadyExists,
)
from service.core.events import (
    ChunkInfo,
    Ended,
    EndReason,
    Switch,
    SwitchAccepted,
    SwitchApplied,
    SwitchRejected,
)
from service.core.simulation import Simulation, StepTimes
from service.core.steps import EncodeReference, Step, StepKind
from tests.service.core.driving import CHUNK_S, CONFIG, assert_books_balance, chunks, make_core, open_session, request


def test_a_switch_takes_effect_at_the_next_chunk_and_the_video_goes_on() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.at(1.0, lambda: request(sim, Switch(event_id="e", garment="h")))
    sim.run()
    made = chunks(sim)
    applied = next(told for told in sim.told["s"] if isinstance(told, SwitchApplied))
    accepted = next(told for told in sim.told["s"] if isinstance(told, SwitchAccepted))
    first = made[applied.sequence]
    assert applied.sequence == accepted.earliest_sequence
    assert (first.cursor.segment, first.cursor.chunk, first.garment, first.frame_count) == (1, 0, "h", 9)
    assert first.applied_event_ids == ("e",)
    assert {chunk.garment for chunk in made[: applied.sequence]} == {"g"}
    assert {chunk.garment for chunk in made[applied.sequence :]} == {"h"}
    assert [chunk.timings.prefill > 0 for chunk in made] == [chunk.cursor.chunk == 0 for chunk in made]
    assert sim.told["s"].index(applied) + 1 == sim.told["s"].index(first), "told directly before its chunk"


def test_not_before_holds_a_switch_until_its_boundary() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.at(0.1, lambda: request(sim, Switch(event_id="e", garment="h", not_before_s=5.0)))
    sim.run()
    first = next(chunk for chunk in chunks(sim) if chunk.garment == "h")
    assert 5.0 <= first.pts_s < 5.0 + CHUNK_S


def test_of_fifty_switches_in_a_second_each_is_answered_and_the_last_wins_each_boundary() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    for i in range(50):
        sim.at(1.0 + i / 50, lambda i=i: request(sim, Switch(event_id=f"e{i}", garment=f"h{i}")))
    sim.run()
    answered = [t for t in sim.told["s"] if isinstance(t, SwitchApplied | SwitchRejected)]
    assert sorted(int(t.event_id[1:]) for t in answered) == list(range(50)), "each exactly once"
    applied = [int(t.event_id[1:]) for t in answered if isinstance(t, SwitchApplied)]
    assert applied == sorted(applied)
    assert applied[-1] == 49
    assert {t.reason for t in answered if isinstance(t, SwitchRejected)} == {"SWITCH_SUPERSEDED"}
    segments = [chunk.cursor.segment for chunk in chunks(sim)]
    assert segments == sorted(segments), "no chunk of a generation follows one of the next"
    assert len(chunks(sim)) >= 10, "the stream never stood still"


def test_switches_that_never_stop_do_not_hold_the_stream_up() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    for i in range(500):
        sim.at(i / 100, lambda i=i: request(sim, Switch(event_id=f"e{i}", garment=f"h{i}")))
    sim.run(until_s=5.0)
    assert len(chunks(sim)) >= 8


def test_a_switch_with_the_default_policy_waits_for_the_last_frame_only() -> None:
    """The reference is asked for once every chunk before the switch is decoded, and the clean pass is left out."""
    core = make_core()
    core.open("s", CONFIG, now=0.0, created_s=0.0)
    core.attach("s")
    core.opened("s", 0.0)
    now, kinds, in_flight = 0.0, [], []
    while True:
        in_flight += core.next_steps(now)
        step = next(s for s in in_flight if s.kind is not StepKind.DECODE)
        in_flight.remove(step)
        kinds.append(step.kind)
        if step.last:
            core.switch("s", Switch(event_id="e", garment="h"), now)
            core.switch_ready("s", "e")
            core.step_done(step, seconds=0.0, queued=0.0, now=now)
            break
        core.step_done(step, seconds=0.0, queued=0.0, now=now)
    decode = core.next_steps(now)
    assert [s.kind for s in decode] == [StepKind.DECODE]
    assert not any(isinstance(e, EncodeReference) for e in core.take_effects(now))
    core.step_done(decode[0], seconds=0.0, queued=0.0, now=now)
    assert any(isinstance(e, EncodeReference) for e in core.take_effects(now))
    core.reference_ready("s", seconds=0.0, now=now)
    assert [s.kind for s in core.next_steps(now)] == [StepKind.PREFILL]
    assert StepKind.COMMIT not in kinds


@pytest.mark.parametrize("policy", Policy)
def test_a_switch_that_comes_too_late_for_any_chunk_costs_no_pass_and_is_answered(policy: Policy) -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(CONFIG, max_duration_s=1.0))
    sim.at(0.3, lambda: request(sim, Switch(event_id="e", garment="h", policy=policy)))
    sim.run(until_s=0.3)
    assert sim.core.view("s").generated_s > 1.0, "the last chunk is being denoised"
    sim.run(until_s=2.0)
    assert [t.reason for t in sim.told["s"] if isinstance(t, SwitchRejected)] == ["SESSION_ENDED"]
    assert sim.core.view("s").garment == "g"
    assert sim.told["s"][-1].reason is EndReason.COMPLETED


def test_a_switch_that_has_begun_when_its_session_ends_is_answered() -> None:
    sim = Simulation(make_core(), times=StepTimes(encode_s=0.5))
    open_session(sim)
    sim.at(1.0, lambda: request(sim, Switch(event_id="e", garment="h")))
    sim.run(until_s=1.5)
    assert sim.core.view("s").garment == "h"
    sim.core.end("s", EndReason.STOPPED)
    sim.run()
    assert [t.event_id for t in sim.told["s"] if isinstance(t, SwitchRejected)] == ["e"]
    assert isinstance(sim.told["s"][-1], Ended)


@pytest.mark.parametrize("policy", Policy)
def test_every_policy_streams_on(policy: Policy) -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.at(0.8, lambda: request(sim, Switch(event_id="e", garment="h", policy=policy)))
    sim.run()
    first = next(chunk for chunk in chunks(sim) if chunk.garment == "h")
    assert first.frame_count == (9 if policy.restarts_video else 12)
    assert_books_balance(sim)


@pytest.mark.parametrize("policy", Policy)
def test_a_switch_that_keeps_history_keeps_the_last_chunk_too(policy: Policy) -> None:
    """Its clean pass is left out only where it would be withdrawn at once, whatever the session's own policy is."""
    for own in (Policy.REFRESH, Policy.REFRESH_WITHDRAW):
        core = make_core()
        core.open("s", replace(CONFIG, policy=own), now=0.0, created_s=0.0)
        core.attach("s")
        core.opened("s", 0.0)
        kinds: list[StepKind] = []
        while kinds[-1:] != [StepKind.DECODE]:
            for step in core.next_steps(0.0):
                kinds.append(step.kind)
                if step.last:
                    core.switch("s", Switch(event_id="e", garment="h", policy=policy), 0.0)
                    core.switch_ready("s", "e")
                core.step_done(step, seconds=0.0, queued=0.0, now=0.0)
        assert (StepKind.COMMIT in kinds) != policy.restarts_video, (own, kinds)


def test_the_same_event_id_is_the_same_switch_and_another_switch_under_it_is_refused() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    sim.run(until_s=0.5)
    switch = Switch(event_id="e", garment="h")
    assert request(sim, switch) == sim.core.switch("s", switch, sim.now)
    with pytest.raises(AlreadyExists, match="named another switch"):
        sim.core.switch("s", replace(switch, garment="k"), sim.now)


def test_a_switch_that_waits_is_remembered_however_many_come_after_it() -> None:
    sim = Simulation(make_core())
    open_session(sim)
    waits = Switch(event_id="waits", garment="h", not_before_s=8.0)
    sim.core.switch("s", waits, sim.now)
    for number in range(300):
        sim.core.switch("s", Switch(event_id=f"e{number}", garment="h"), sim.now)
        sim.core.switch_failed("s", f"e{number}", reason="GARMENT_NOT_READY", message="no")
    assert sim.core.knows_switch("s", "waits")
    assert not sim.core.knows_switch("s", "e0")


def test_a_new_reference_waits_for_every_chunk_before_the_switch() -> None:
    """Two are with the decoder."""

    class Watcher:
        seen: list[int]

        def step_began(self, step: Step) -> None:
            if step.kind is StepKind.PREFILL:
                self.seen.append(step.sequence - len(chunks(sim)))

        def step_ended(self, step: Step) -> None: ...

        def segment_began(self, session_id: str) -> None: ...

        def chunk_sent(self, session_id: str, info: ChunkInfo, late: bool) -> None: ...

    sim = Simulation(make_core(), times=StepTimes(decode_s=1.0))
    sim.watcher = watcher = Watcher()
    watcher.seen = []
    open_session(sim)
    for at in (2.1, 5.3, 7.7):
        sim.at(at, lambda at=at: request(sim, Switch(event_id=f"{at}", garment="h")))
    sim.run()
    assert watcher.seen == [0] * 4


def test_a_switch_whose_garment_fails_is_rejected_and_the_stream_goes_on() -> None:
    sim = Simulation(make_core())
    open_session(sim)

    def fail() -> None:
        sim.core.switch("s", Switch(event_id="e", garment="h"), sim.now)
        sim.core.switch_failed("s", "e", reason="GARMENT_NOT_READY", message="no")

    sim.at(1.0, fail)
    sim.run()
    assert any(isinstance(t, SwitchRejected) and t.reason == "GARMENT_NOT_READY" for t in sim.told["s"])
    assert {chunk.garment for chunk in chunks(sim)} == {"g"}
    assert sim.told["s"][-1].reason is EndReason.COMPLETED
