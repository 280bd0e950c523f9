"""Admission under a virtual clock: as many real-time sessions as the whole engine keeps up with, and no more."""

from dataclasses import replace

import pytest

from contract.schedule import DenoisingSchedule
from service.core.admission import HEADROOM, Capacity, ChunkCost, capacity
from service.core.core import Core
from service.core.errors import ResourceExhausted
from service.core.events import Pacing, SessionConfig
from service.core.simulation import Simulation, StepTimes
from service.engine.fake import FAKE_GEOMETRY

REALTIME = SessionConfig(tenant="t", garment="g", prompt="p", seed=1, pacing=Pacing.REALTIME, max_duration_s=1000.0)
UNPACED = replace(REALTIME, pacing=Pacing.UNPACED)
PASSES = len(DenoisingSchedule().passes())


def make_sim(times: StepTimes, *, blocks: int = 8, chunk_cost_s: float = 0.0) -> Simulation:
    """Chunks of 1 s."""
    core = Core(geometry=FAKE_GEOMETRY, schedule=DenoisingSchedule(), blocks=blocks, chunk_cost_s=chunk_cost_s)
    return Simulation(core, times=times)


def open_sessions(sim: Simulation, names: str, config: SessionConfig = REALTIME) -> None:
    for name in names:
        sim.core.open(name, config, now=sim.now, created_s=sim.now)
        sim.core.attach(name)
        sim.core.opened(name, sim.now)


def factor(sim: Simulation) -> float:
    return sim.core.capacity(Pacing.REALTIME, sim.now).realtime_factor


def test_blocks_bound_sessions_and_the_refusal_says_when_to_retry() -> None:
    sim = make_sim(StepTimes(), blocks=2)
    open_sessions(sim, "ab")
    with pytest.raises(ResourceExhausted, match="2 of 2 sessions") as caught:
        open_sessions(sim, "c")
    assert caught.value.reason == "SESSION_CAPACITY"
    assert caught.value.retry_after_s >= 1.0


@pytest.mark.parametrize(("remaining_s", "retry_s"), [(0.2, 1.0), (7.0, 7.0), (3600.0, 30.0)])
def test_a_refusal_says_when_the_next_session_ends_within_bounds(remaining_s: float, retry_s: float) -> None:
    room = capacity(
        pacing=Pacing.REALTIME,
        slots=4,
        free=1,
        realtime_sessions=3,
        chunk_s=1.0,
        cost_s=HEADROOM / 3,
        shortest_remaining_s=remaining_s,
    )
    factor = pytest.approx(3 / HEADROOM)
    assert room == Capacity(available=0, open=3, slots=4, retry_after_s=retry_s, realtime_factor=factor)


def test_eight_chunks_of_full_windows_in_a_row_correct_the_start() -> None:
    cost = ChunkCost(at_start_s=1.0)
    for _ in range(7):
        cost.chunk_done(busy_s=0.5, full=True)
    cost.chunk_done(busy_s=0.1, full=False)
    for _ in range(7):
        cost.chunk_done(busy_s=0.5, full=True)
    assert cost.seconds == 1.0
    cost.chunk_done(busy_s=0.5, full=True)
    assert cost.seconds == 0.5


def test_of_an_engine_of_which_nothing_is_known_the_first_chunk_counts() -> None:
    cost = ChunkCost()
    cost.chunk_done(busy_s=0.3, full=False)
    cost.chunk_done(busy_s=0.1, full=False)
    assert cost.seconds == 0.3


def test_a_chunk_that_took_longer_than_it_plays_says_that_its_sessions_are_too_many() -> None:
    cost = ChunkCost(at_start_s=0.2)
    for _ in range(100):
        cost.realtime_chunk_too_slow(plays_s=1.0, sessions=2)
    assert cost.seconds == pytest.approx(0.5)


def test_what_a_chunk_costs_bounds_real_time_sessions() -> None:
    """0.3 s of the student lane: three sessions fit, unpaced ones need only a block."""
    sim = make_sim(StepTimes(pass_s=0.06, decode_s=0.1), chunk_cost_s=0.3)
    open_sessions(sim, "a")
    sim.run(until_s=10.0)
    open_sessions(sim, "bc")
    sim.run(until_s=30.0)
    with pytest.raises(ResourceExhausted):
        open_sessions(sim, "d")
    open_sessions(sim, "e", UNPACED)
    assert factor(sim) == pytest.approx(1 / 0.3)
    late_before = sim.core.late_chunks
    sim.run(until_s=90.0)
    assert sim.core.late_chunks == late_before, "who was admitted meets its deadlines, an unpaced session beside it"


def test_a_crowd_that_comes_at_once_is_bounded_before_any_chunk_is_done() -> None:
    """On one device the sum of student and decoder has to fit: 0.4 s a chunk, two sessions."""
    sim = make_sim(StepTimes(pass_s=0.04, decode_s=0.2, one_device=True), chunk_cost_s=PASSES * 0.04 + 0.2)
    open_sessions(sim, "ab")
    with pytest.raises(ResourceExhausted):
        open_sessions(sim, "c")
    sim.run(until_s=10.0)
    late_before = sim.core.late_chunks  # both clocks started with a first chunk, and had to wait for a second
    sim.run(until_s=60.0)
    assert sim.core.late_chunks == late_before
    with pytest.raises(ResourceExhausted):
        open_sessions(sim, "c")


def test_the_first_session_is_let_in_on_an_engine_slower_than_real_time() -> None:
    sim = make_sim(StepTimes(pass_s=0.4), chunk_cost_s=2.0)
    open_sessions(sim, "a")
    sim.run(until_s=20.0)
    with pytest.raises(ResourceExhausted):
        open_sessions(sim, "b")


def test_where_the_start_measured_nothing_the_time_the_engine_is_busy_counts() -> None:
    sim = make_sim(StepTimes(pass_s=0.04, decode_s=0.2, one_device=True))
    open_sessions(sim, "a")
    sim.run(until_s=20.0)
    assert factor(sim) == pytest.approx(1 / 0.4, rel=0.1)


def test_a_start_that_was_disturbed_is_corrected() -> None:
    sim = make_sim(StepTimes(pass_s=0.04, decode_s=0.2, one_device=True), chunk_cost_s=3.0)
    open_sessions(sim, "a")
    with pytest.raises(ResourceExhausted):
        open_sessions(sim, "b")
    sim.run(until_s=60.0)
    assert factor(sim) == pytest.approx(1 / 0.4, rel=0.1)
    open_sessions(sim, "b")


def test_chunks_of_windows_not_yet_full_do_not_say_what_sessions_will_cost() -> None:
    """They cost less: a crowd of new sessions would let in more than the engine keeps up with."""
    sim = make_sim(StepTimes(pass_s=0.02, decode_s=0.1, one_device=True), chunk_cost_s=0.4)
    short = replace(REALTIME, max_duration_s=5.0)  # of 7 chunks to a full window
    for round_ in range(8):
        open_sessions(sim, f"{round_}", short)
        sim.run(until_s=sim.now + 10.0)
    assert len(sim.ended_s) == 8
    assert factor(sim) == pytest.approx(1 / 0.4)


def test_an_engine_that_became_slower_lets_fewer_in_until_it_keeps_up_again() -> None:
    fast = StepTimes(pass_s=0.02, decode_s=0.1, one_device=True)
    sim = make_sim(fast, chunk_cost_s=PASSES * 0.02 + 0.1)
    open_sessions(sim, "abc")
    sim.run(until_s=30.0)
    assert sim.core.capacity(Pacing.REALTIME, sim.now).available == 1
    sim.times = replace(fast, pass_s=0.08)
    sim.run(until_s=60.0)
    assert sim.core.late_chunks > 0
    assert sim.core.capacity(Pacing.REALTIME, sim.now).available == 0
    sim.times = fast
    sim.run(until_s=120.0)
    assert sim.core.capacity(Pacing.REALTIME, sim.now).available == 1
