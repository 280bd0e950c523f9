"""Sessions of the core under a virtual clock, for its tests."""

from contract.schedule import DenoisingSchedule
from service.core.core import Core
from service.core.events import (
    ChunkInfo,
    Pacing,
    SessionConfig,
    Switch,
    SwitchAccepted,
)
from service.core.simulation import Simulation
from service.engine.fake import FAKE_GEOMETRY

CONFIG = SessionConfig(tenant="t", garment="g", prompt="p", seed=1, pacing=Pacing.UNPACED, max_duration_s=10.0)
CHUNK_S = 1.0
"""The fake geometry: 12 frames at 12 frames per second."""


def make_core(blocks: int = 4, **options: float) -> Core:
    return Core(geometry=FAKE_GEOMETRY, schedule=DenoisingSchedule(), blocks=blocks, **options)


def open_session(
    sim: Simulation, session_id: str = "s", config: SessionConfig = CONFIG, *, attach: bool = True
) -> None:
    sim.core.open(session_id, config, now=sim.now, created_s=sim.now)
    if attach:
        sim.core.attach(session_id)
    else:
        sim.unread.add(session_id)
    sim.at(sim.now + sim.times.encode_s, lambda: sim.core.opened(session_id, sim.now))


def request(sim: Simulation, switch: Switch, session_id: str = "s") -> SwitchAccepted:
    accepted = sim.core.switch(session_id, switch, sim.now)
    sim.core.switch_ready(session_id, switch.event_id)
    return accepted


def chunks(sim: Simulation, session_id: str = "s") -> list[ChunkInfo]:
    return [told for told in sim.told[session_id] if isinstance(told, ChunkInfo)]


def assert_books_balance(sim: Simulation) -> None:
    sim.core.check_integrity()
    assert sim.core.idle
