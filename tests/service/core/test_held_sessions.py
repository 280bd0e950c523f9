"""Sessions that wait for their client: how long they may, and what switches cost and count meanwhile."""

from collections import Counter
from dataclasses import replace

import pytest

from service.core.core import IDLE_TIMEOUT_S
from service.core.errors import ResourceExhausted
from service.core.events import ChunkInfo, Ended, EndReason, Pacing, State, Switch, SwitchApplied
from service.core.simulation import Simulation, StepTimes
from service.core.steps import Step, StepKind
from service.core.switches import MAX_PENDING_SWITCHES
from tests.service.core.driving import CONFIG, assert_books_balance, chunks, make_core, open_session, request

LONG = replace(CONFIG, max_duration_s=36_000.0)


class Steps:
    """A watcher that counts steps by kind."""

    def __init__(self) -> None:
        self.kinds: Counter[StepKind] = Counter()

    def step_began(self, step: Step) -> None:
        self.kinds[step.kind] += 1

    def step_ended(self, step: Step) -> None: ...

    def segment_began(self, session_id: str) -> None: ...

    def chunk_sent(self, session_id: str, info: ChunkInfo, late: bool) -> None: ...


def ended(sim: Simulation) -> Ended:
    last = sim.told["s"][-1]
    assert isinstance(last, Ended)
    return last


def applied(sim: Simulation) -> dict[str, SwitchApplied]:
    return {told.event_id: told for told in sim.told["s"] if isinstance(told, SwitchApplied)}


def hold(sim: Simulation, how: str) -> None:
    """A session of which its client wants nothing more, though it is attached."""
    config = replace(LONG, max_duration_s=1.0) if how == "unread to its end" else LONG
    open_session(sim, config=config)
    if how == "paused":
        sim.at(1.0, lambda: sim.core.pause("s"))
    elif how == "without credits":
        sim.core.grant("s", 2)
    else:
        sim.unread.add("s")


@pytest.mark.parametrize("how", ["paused", "without credits", "unread", "unread to its end"])
def test_a_client_that_holds_its_session_loses_it_after_the_idle_timeout(how: str) -> None:
    sim = Simulation(make_core())
    hold(sim, how)
    sim.run(until_s=IDLE_TIMEOUT_S - 0.1)
    assert sim.core.view("s").state is not State.ENDED
    sim.run(until_s=IDLE_TIMEOUT_S + 2.0)
    assert ended(sim).reason is EndReason.ABANDONED
    assert "600 s" in ended(sim).message
    sim.run()
    assert_books_balance(sim)


def test_a_client_that_lets_its_session_go_on_in_time_keeps_it() -> None:
    sim = Simulation(make_core(idle_timeout_s=10.0))
    open_session(sim, config=LONG)
    sim.core.grant("s", 1)
    for at in range(1, 20):
        sim.at(9.0 * at, lambda: sim.core.grant("s", 1))
    sim.run(until_s=9.0 * 19 + 9.0)
    assert len(chunks(sim)) == 20
    sim.run(until_s=9.0 * 19 + 11.0)
    assert ended(sim).reason is EndReason.ABANDONED


def test_a_session_without_a_reader_has_its_detach_grace_and_no_other_limit() -> None:
    sim = Simulation(make_core(idle_timeout_s=10.0))
    open_session(sim, config=replace(LONG, detach_grace_s=300.0))
    sim.run(until_s=1.0)
    sim.core.pause("s")
    sim.core.detach("s", sim.now)
    sim.at(290.0, lambda: sim.core.attach("s"))
    sim.run(until_s=299.0)
    assert sim.core.view("s").state is State.PAUSED, "the reader that came has its own time"
    sim.run(until_s=301.0)
    assert ended(sim).reason is EndReason.ABANDONED


def test_switches_on_a_session_that_nobody_reads_cost_no_pass_and_end_at_a_limit() -> None:
    sim = Simulation(make_core())
    sim.watcher = steps = Steps()
    open_session(sim, config=LONG)
    sim.unread.add("s")
    sim.run(until_s=5.0)
    before = Counter(steps.kinds)
    for number in range(MAX_PENDING_SWITCHES):
        request(sim, Switch(event_id=f"e{number}", garment=f"h{number}"))
        sim.run(until_s=5.0 + number / 10)
    with pytest.raises(ResourceExhausted) as caught:
        request(sim, Switch(event_id="more", garment="h"))
    assert caught.value.reason == "TOO_MANY_SWITCHES"
    assert steps.kinds == before
    sim.unread.clear()
    for info in chunks(sim):
        sim.core.sent("s", info, sim.now)
    sim.run(until_s=sim.now + 5.0)
    assert list(applied(sim)) == [f"e{MAX_PENDING_SWITCHES - 1}"], "of all that wait the last wins"


def test_a_switch_that_is_due_later_counts_from_when_its_boundary_is_the_next() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(LONG, pacing=Pacing.REALTIME))
    sim.at(1.0, lambda: request(sim, Switch(event_id="later", garment="h", not_before_s=60.0)))
    sim.at(1.0, lambda: request(sim, Switch(event_id="now", garment="k")))
    sim.run(until_s=70.0)
    switches = applied(sim)
    assert switches["now"].since_s == 1.0
    assert switches["later"].waited_s > 50.0
    assert 56.0 < switches["later"].since_s < 61.0, "two chunks ahead of its presentation at most"


def test_a_switch_asked_for_while_the_client_holds_the_session_counts_from_when_it_goes_on() -> None:
    sim = Simulation(make_core())
    open_session(sim, config=LONG)
    sim.at(1.0, lambda: sim.core.pause("s"))
    sim.at(2.0, lambda: request(sim, Switch(event_id="e", garment="h")))
    sim.at(60.0, lambda: sim.core.resume("s"))
    sim.run(until_s=62.0)
    assert applied(sim)["e"].since_s == 60.0
    assert applied(sim)["e"].waited_s > 58.0


def test_what_the_decoder_takes_counts_though_no_credits_are_left() -> None:
    sim = Simulation(make_core(), times=StepTimes(decode_s=1.0))
    open_session(sim, config=LONG)
    sim.core.grant("s", 2)
    sim.at(0.6, lambda: request(sim, Switch(event_id="e", garment="h")))
    sim.at(0.8, lambda: sim.core.grant("s", 2))
    sim.run(until_s=10.0)
    assert applied(sim)["e"].since_s == 0.6, "both chunks that were granted are still being decoded"


@pytest.mark.parametrize("at", [10.0, 10.2, 10.4, 10.6, 10.8])
def test_the_shortest_pause_counts_whatever_the_session_was_at(at: float) -> None:
    sim = Simulation(make_core())
    open_session(sim, config=replace(LONG, pacing=Pacing.REALTIME))
    sim.at(at, lambda: sim.core.pause("s"))
    sim.at(at + 0.01, lambda: request(sim, Switch(event_id="e", garment="h")))
    sim.at(at + 0.02, lambda: sim.core.resume("s"))
    sim.run(until_s=at + 3.0)
    assert applied(sim)["e"].since_s == at + 0.02


def test_what_ended_says_was_generated_is_what_was_sent() -> None:
    sim = Simulation(make_core(), times=StepTimes(decode_s=1.0))
    open_session(sim, config=LONG)
    sim.at(5.5, lambda: sim.core.end("s", EndReason.STOPPED))
    sim.run()
    made = chunks(sim)
    assert sim.core.geometry.frames_per_second == 12
    assert ended(sim).generated_s == made[-1].pts_s + made[-1].duration_s
