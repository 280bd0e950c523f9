"""Credits of a stream that begins while chunks are on their way."""

from __future__ import annotations

import pytest

from contract.schedule import DenoisingSchedule
from service.core.core import Core
from service.core.events import ChunkInfo, Pacing, SessionConfig
from service.core.pacing import MAX_CREDITS, MAX_UNSENT, UNATTACHED_CHUNKS, Playout
from service.core.simulation import Simulation
from service.engine.fake import FAKE_GEOMETRY

CHUNK_S = 1.0
PACINGS = pytest.mark.parametrize("pacing", Pacing)


def playout(*, started: int, sent: int, pacing: Pacing = Pacing.REALTIME) -> Playout:
    """Of a session that lost its stream."""
    return Playout(pacing=pacing, opened_s=0.0, chunk_s=CHUNK_S, started=started, sent=sent)


def begin(playout: Playout) -> int:
    """Begin all the chunks that may begin now; how many they were."""
    count = 0
    while playout.may_start(playout.started * CHUNK_S, now=0.0):
        playout.started += 1
        count += 1
    return count


def send_next(playout: Playout) -> None:
    playout.chunk_sent(playout.sent, playout.sent * CHUNK_S, now=0.0)


@PACINGS
def test_chunks_begun_before_a_stream_use_none_of_its_credits(pacing: Pacing) -> None:
    """Five begun and three sent: the two that are left leave all three credits to the stream that comes."""
    reader = playout(started=5, sent=3, pacing=pacing)
    reader.attached = True
    reader.grant(1)
    assert begin(reader) == 1
    send_next(reader)
    send_next(reader)
    reader.grant(MAX_CREDITS - 1)
    assert begin(reader) == MAX_CREDITS - 1
    assert reader.started == 5 + MAX_CREDITS


def test_a_chunk_begun_after_the_stream_and_before_its_first_credit_uses_one() -> None:
    reader = playout(started=5, sent=5)
    reader.attached = True
    reader.started += 1
    reader.grant(1)
    assert begin(reader) == 0
    send_next(reader)
    assert reader.credits == 0


def test_what_waits_to_be_sent_is_bounded_whatever_is_granted() -> None:
    reader = playout(started=5, sent=3)
    reader.attached = True
    reader.grant(MAX_CREDITS)
    begin(reader)
    assert reader.started - reader.sent == MAX_UNSENT


def test_the_credits_of_a_stream_end_with_it() -> None:
    """The next stream grants none, and is paced."""
    core = Core(geometry=FAKE_GEOMETRY, schedule=DenoisingSchedule(), blocks=1)
    sim = Simulation(core)
    config = SessionConfig(tenant="t", garment="g", prompt="p", seed=1, pacing=Pacing.REALTIME, max_duration_s=60.0)
    core.open("s", config, now=sim.now, created_s=sim.now)
    core.attach("s")
    core.grant("s", 1)
    core.opened("s", sim.now)
    sim.run(until_s=5.0)
    assert core.view("s").generated_s < 1.0
    core.attach("s")
    sim.run(until_s=15.0)
    assert core.view("s").generated_s > 9.0


def test_a_reader_that_comes_back_has_as_many_chunks_under_way_as_before() -> None:
    """Through the core: the client grants one credit, and the rest once it has what was made without it."""
    core = Core(geometry=FAKE_GEOMETRY, schedule=DenoisingSchedule(), blocks=1)
    sim = Simulation(core)
    config = SessionConfig(tenant="t", garment="g", prompt="p", seed=1, pacing=Pacing.REALTIME, max_duration_s=60.0)
    core.open("s", config, now=sim.now, created_s=sim.now)
    core.opened("s", sim.now)
    sim.unread.add("s")
    sim.run(until_s=5.0)
    waiting = [told for told in sim.told["s"] if isinstance(told, ChunkInfo)]
    assert len(waiting) == UNATTACHED_CHUNKS
    core.attach("s")
    core.grant("s", 1)
    for info in waiting:
        core.sent("s", info, sim.now)
    core.grant("s", MAX_CREDITS - 1)
    sim.unread.clear()
    sim.run(until_s=20.0)
    assert sum(isinstance(told, ChunkInfo) for told in sim.told["s"]) == UNATTACHED_CHUNKS + MAX_CREDITS
