"""Denoising passes left out where chunks would be late, under a virtual clock. Chunks of 1 s, one device."""

from dataclasses import replace

import pytest

from contract.schedule import DenoisingSchedule
from service.core.core import Core
from service.core.degradation import MOST_LEFT_OUT, RECOVERY_CHUNKS, Degradation
from service.core.events import ChunkInfo, Pacing, SessionConfig, Switch
from service.core.simulation import Simulation, StepTimes
from service.core.steps import Step, StepKind
from service.engine.fake import FAKE_GEOMETRY

SESSION = SessionConfig(tenant="t", garment="g", prompt="p", seed=1, pacing=Pacing.REALTIME, max_duration_s=60.0)
PASSES = len(DenoisingSchedule().passes())
LEAD_S = 2.0
LEVELS = range(MOST_LEFT_OUT + 1)


def simulated(load: float, *, sessions: int = 4, degradation: int = MOST_LEFT_OUT) -> Simulation:
    """Sessions that together need `load` times what the device has, a little under half of it for decoding."""
    chunk_s = load / sessions
    times = StepTimes(pass_s=0.55 * chunk_s / PASSES, decode_s=0.45 * chunk_s, prefill_s=0.1 * chunk_s, one_device=True)
    core = Core(geometry=FAKE_GEOMETRY, schedule=DenoisingSchedule(), blocks=sessions, degradation=degradation)
    return Simulation(core, times=times)


def open_all(sim: Simulation, config: SessionConfig = SESSION, *, sessions: int = 4) -> None:
    for name in map(str, range(sessions)):
        sim.core.open(name, config, now=sim.now, created_s=sim.now)
        sim.core.attach(name)
        sim.core.opened(name, sim.now)


def chunks(sim: Simulation) -> list[ChunkInfo]:
    return [told for events in sim.told.values() for told in events if isinstance(told, ChunkInfo)]


def levels(sim: Simulation) -> set[int]:
    return {chunk.degradation for chunk in chunks(sim)}


def behind(degradation: Degradation) -> int:
    return degradation.next_level(slack_s=0.5, took_s=1.0)


def ahead(degradation: Degradation, times: int) -> int:
    for _ in range(times):
        degradation.next_level(slack_s=LEAD_S, took_s=1.0)
    return degradation.level


def test_what_admission_lets_in_keeps_every_pass() -> None:
    sim = simulated(0.9)
    open_all(sim)
    sim.run()
    assert len(chunks(sim)) > 200
    assert levels(sim) == {0}


@pytest.mark.parametrize("load", [1.1, 1.2])
def test_sessions_that_would_all_be_late_are_in_time(load: float) -> None:
    """But for their first ones: a stream begins without a lead."""
    late = {}
    for degradation in (0, MOST_LEFT_OUT):
        sim = simulated(load, degradation=degradation)
        open_all(sim)
        sim.run()
        late[degradation] = sim.core.late_chunks / len(chunks(sim))
    assert late[0] > 0.9
    assert late[MOST_LEFT_OUT] < 0.05
    assert levels(sim) == set(LEVELS), "each is used, and the full number again and again"


def test_a_load_that_goes_leaves_full_chunks_behind() -> None:
    sim = simulated(1.2)
    open_all(sim)
    for name in "123":
        sim.at(20.0, lambda name=name: sim.core.detach(name, sim.now))
    sim.run()
    of_the_last = [chunk.degradation for chunk in sim.told["0"] if isinstance(chunk, ChunkInfo)]
    assert max(of_the_last[:20]) == MOST_LEFT_OUT
    assert set(of_the_last[40:]) == {0}


def test_a_segment_begins_with_every_pass_however_late() -> None:
    sim = simulated(1.5)
    open_all(sim)

    def switch(name: str, event_id: str) -> None:
        sim.core.switch(name, Switch(event_id=event_id, garment=event_id), sim.now)
        sim.core.switch_ready(name, event_id)

    for name in "0123":
        for second in (15.0, 25.0, 35.0):
            sim.at(second, lambda name=name, second=second: switch(name, f"at-{second:g}"))
    sim.run()
    first = [chunk.degradation for chunk in chunks(sim) if chunk.cursor.chunk == 0]
    assert first == [0] * 16
    assert levels(sim) == set(LEVELS)


def test_unpaced_sessions_wait_and_lose_nothing() -> None:
    sim = simulated(2.0)
    open_all(sim, replace(SESSION, pacing=Pacing.UNPACED))
    sim.run()
    assert levels(sim) == {0}


def test_a_schedule_keeps_at_least_one_pass() -> None:
    core = Core(geometry=FAKE_GEOMETRY, schedule=DenoisingSchedule(steps=(1000, 500)), blocks=1, degradation=16)
    sim = Simulation(core, times=StepTimes(pass_s=0.5, decode_s=0.2, one_device=True))
    open_all(sim, sessions=1)
    sim.run()
    assert levels(sim) == {0, 1}


def test_the_passes_left_out_are_not_run() -> None:
    class Counter:
        def __init__(self) -> None:
            self.passes: dict[int, int] = {}

        def step_began(self, step: Step) -> None: ...

        def step_ended(self, step: Step) -> None:
            if step.kind is StepKind.DENOISE:
                self.passes[step.sequence] = self.passes.get(step.sequence, 0) + 1

        def segment_began(self, session_id: str) -> None: ...

        def chunk_sent(self, session_id: str, info: ChunkInfo, late: bool) -> None:
            assert self.passes[info.sequence] == PASSES - 1 - info.degradation

    sim = simulated(1.2, sessions=1)
    sim.watcher = Counter()
    open_all(sim, sessions=1)
    sim.run()
    assert levels(sim) == set(LEVELS)


def test_the_cost_of_degraded_chunks_is_not_taken_for_that_of_a_session() -> None:
    """Or more sessions would be let in than full chunks allow."""
    sim = simulated(1.1)
    open_all(sim)
    factors = []
    for second in range(20, 60):
        sim.at(second, lambda: factors.append(sim.core.capacity(Pacing.REALTIME, sim.now).realtime_factor))
    sim.run(until_s=59.0)
    assert len(factors) > 30
    assert max(factors) < 4.0  # of 1 / (1.1 / 4) = 3.6 for full chunks, 4.7 at the least


def test_the_level_rises_with_each_chunk_behind_and_stops_at_the_most() -> None:
    degradation = Degradation(most=2, chunk_s=1.0)
    assert [behind(degradation) for _ in range(4)] == [1, 2, 2, 2]


def test_each_pass_comes_back_after_some_chunks_ahead_in_a_row() -> None:
    degradation = Degradation(most=2, chunk_s=1.0)
    behind(degradation)
    behind(degradation)
    assert ahead(degradation, RECOVERY_CHUNKS - 1) == 2
    assert behind(degradation) == 2, "and one behind begins the count anew"
    assert ahead(degradation, RECOVERY_CHUNKS - 1) == 2
    assert ahead(degradation, 1) == 1
    assert ahead(degradation, RECOVERY_CHUNKS) == 0
    assert ahead(degradation, RECOVERY_CHUNKS) == 0


def test_between_behind_and_ahead_nothing_changes_and_without_a_clock_nothing_is_learned() -> None:
    degradation = Degradation(most=2, chunk_s=1.0)
    behind(degradation)
    for _ in range(2 * RECOVERY_CHUNKS):
        assert degradation.next_level(slack_s=1.5, took_s=1.0) == 1
        assert degradation.next_level(slack_s=None, took_s=9.0) == 1
