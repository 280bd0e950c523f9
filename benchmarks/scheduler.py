"""A thousand sessions on the core under a virtual clock: how long the scheduler takes to decide."""

from __future__ import annotations

import gc
import statistics

from contract.schedule import DenoisingSchedule
from service.core.core import Core
from service.core.events import EndReason, Pacing, SessionConfig, Switch
from service.core.simulation import Simulation, StepTimes
from service.engine.fake import FAKE_GEOMETRY

SESSIONS = 1000


def measure() -> dict[str, float | str]:
    """Microseconds of one round of decisions: settle what changed, choose the steps to dispatch."""
    core = Core(geometry=FAKE_GEOMETRY, schedule=DenoisingSchedule(), blocks=SESSIONS)
    sim = Simulation(core, times=StepTimes(encode_s=0.001, prefill_s=0.00005, pass_s=0.0001, decode_s=0.0004))
    sim.measures = True
    config = SessionConfig(tenant="t", garment="g", prompt="p", seed=1, pacing=Pacing.REALTIME, max_duration_s=6.0)
    for index in range(SESSIONS):
        session_id = f"s{index}"
        core.open(session_id, config, now=0.0, created_s=0.0)
        core.attach(session_id)
        sim.at(0.001 * index, lambda s=session_id: core.opened(s, sim.now))  # type: ignore[misc]
        if index % 10 == 0:
            sim.at(2.0 + 0.001 * index, lambda s=session_id: _switch(sim, s))  # type: ignore[misc]
    gc.collect()
    sim.run()
    core.check_integrity()
    assert core.idle, "every block came back"
    assert all(told[-1].reason is EndReason.COMPLETED for told in sim.told.values())  # type: ignore[union-attr]
    microseconds = sorted(1e6 * seconds for seconds in sim.decision_s)
    return {
        "scope": f"{SESSIONS} real-time sessions, fake clock, {len(microseconds)} decisions",
        "median_us": statistics.median(microseconds),
        "p99_us": microseconds[int(0.99 * len(microseconds))],
        "late_chunks": float(core.late_chunks),
    }


def _switch(sim: Simulation, session_id: str) -> None:
    sim.core.switch(session_id, Switch(event_id="e", garment="h"), sim.now)
    sim.core.switch_ready(session_id, "e")
