"""Whatever clients and the engine do, in any order: nothing is leaked, and each session is told one whole story."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from contract.cache_plan import Policy
from service.core.errors import Aborted, ServiceError
from service.core.events import (
    ChunkReady,
    Cursor,
    Ended,
    EndReason,
    Pacing,
    State,
    StreamEvent,
    Switch,
    SwitchAccepted,
    SwitchApplied,
    SwitchRejected,
)
from service.engine.base import EngineError
from service.engine.fake import Delays, FakeEngine
from service.runtime.garments import NewGarment
from service.runtime.orchestrator import Orchestrator
from tests.service.runtime.conftest import Recorder, picture, until
from tests.service.runtime.test_orchestrator import CONFIG

BLOCKS = 3
MOVES = 150


class Play:
    """Clients of all kinds over one orchestrator; an engine that fails, dies, returns with or without its memory."""

    def __init__(self, dice: random.Random, engine: FakeEngine, orchestrator: Orchestrator) -> None:
        self.dice, self.engine, self.orchestrator = dice, engine, orchestrator
        self.sessions: list[str] = []
        self.streams: list[list[StreamEvent]] = []
        self.readers: list[asyncio.Task[None]] = []
        self._engine_down = False
        self._moves: list[Callable[[], Awaitable[None]]] = [
            *[self.open, self.read, self.leave, self.end] * 2,
            *[self.switch] * 4,
            *[self.hold, self.delete_garment, self.engine_dies_or_returns, self.engine_fails],
        ]

    async def move(self) -> None:
        await asyncio.sleep(self.dice.choice([0, 0.001, 0.004, 0.01]))
        with contextlib.suppress(ServiceError):  # what is refused must change nothing
            await self.dice.choice(self._moves)()
        self.orchestrator._core.check_integrity()

    def garment(self) -> NewGarment:
        number = self.dice.randrange(8)
        return NewGarment.of(bytes([number]), picture(number))

    def session(self) -> str:
        return self.dice.choice(self.sessions or ["none"])

    async def open(self) -> None:
        garment = self.garment()
        config = replace(
            CONFIG,
            garment=garment.id,
            pacing=self.dice.choice(list(Pacing)),
            policy=self.dice.choice(list(Policy)),
            max_duration_s=self.dice.choice([1.0, 3.0, 30.0]),
            detach_grace_s=self.dice.choice([0.0, 0.02, 0.2]),
        )
        brought = self.dice.choice([garment, garment, None])
        view = await self.orchestrator.create_session(config, person_rgb=picture(50), garment=brought)
        self.sessions.append(view.id)
        if self.dice.random() < 0.4:
            await self.switch_in(view.id)
        if self.dice.random() < 0.7:
            self.attach(view.id, None)

    async def read(self) -> None:
        session = self.session()
        newest = self.orchestrator.get_session("t", session).next
        self.attach(session, self.dice.choice([None, newest, Cursor(segment=0, chunk=self.dice.randrange(4))]))

    def attach(self, session: str, cursor: Cursor | None) -> None:
        subscription, told = self.orchestrator.attach("t", session, cursor), list[StreamEvent]()
        self.streams.append(told)

        async def pour() -> None:
            try:
                with contextlib.suppress(Aborted):  # another took over
                    async for event in subscription:
                        told.append(event)
                        if isinstance(event, ChunkReady):
                            await asyncio.sleep(self.dice.choice([0, 0, 0.001, 0.01]))
                            subscription.sent(event)
            finally:
                subscription.close()

        self.readers.append(asyncio.create_task(pour()))

    async def leave(self) -> None:
        if reading := [reader for reader in self.readers if not reader.done()]:
            self.dice.choice(reading).cancel()

    async def end(self) -> None:
        await self.orchestrator.end_session("t", self.session())

    async def switch(self) -> None:
        await self.switch_in(self.session())

    async def switch_in(self, session: str) -> None:
        for _ in range(self.dice.choice([1, 1, 3])):
            garment = self.garment()
            switch = Switch(
                event_id=f"{self.dice.getrandbits(64)}",
                garment=garment.id,
                prompt=self.dice.choice([None, "walks", "dances"]),
                policy=self.dice.choice([None, *Policy]),
                not_before_s=self.dice.choice([0.0, 0.0, 1.0, 100.0]),
            )
            brought = self.dice.choice([garment, garment, None])
            await self.orchestrator.switch_garment("t", session, switch, brought)

    async def hold(self) -> None:
        act = self.dice.choice([self.orchestrator.pause, self.orchestrator.resume])
        if self.dice.random() < 0.7:
            act("t", self.session())
        else:
            self.orchestrator.grant("t", self.session(), self.dice.randint(1, 3))

    async def delete_garment(self) -> None:
        if garments := self.orchestrator.garments.list("t"):
            self.orchestrator.garments.delete("t", self.dice.choice(garments).id)
        self.orchestrator.garments.add("t", self.garment())

    async def engine_dies_or_returns(self) -> None:
        if self._engine_down:
            self.engine.recover(kept=self.dice.random() < 0.5)
        else:
            self.engine.crash()
        self._engine_down = not self._engine_down

    async def engine_fails(self) -> None:
        if self.dice.random() < 0.3:
            self.engine.fail_next.append(EngineError("refused"))

    async def end_all(self) -> None:
        if self._engine_down:
            self.engine.recover()
        if self.dice.random() < 0.5:
            self.orchestrator.begin_drain(0.2)
        for session in self.sessions if not self.orchestrator.draining else []:
            await self.orchestrator.end_session("t", session)
        async with asyncio.timeout(10):
            await asyncio.gather(*self.readers, return_exceptions=True)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_nothing_is_leaked_and_every_stream_tells_one_story(seed: int) -> None:
    before, dice, recorder = asyncio.all_tasks(), random.Random(seed), Recorder()
    engine = FakeEngine(blocks=BLOCKS, delays=Delays(encode_s=0.002, pass_s=0.0007, decode_s=0.003))
    limits = {"engine_grace_s": dice.choice([0.05, 5.0]), "idle_timeout_s": dice.choice([0.3, 5.0])}
    orchestrator = Orchestrator(engine, observer=recorder, garment_bytes=60_000, **limits)
    await orchestrator.start()
    play = Play(dice, engine, orchestrator)
    for _ in range(MOVES):
        await play.move()
    await play.end_all()

    await until(lambda: orchestrator._core.idle and not orchestrator._tasks._tasks)
    orchestrator._core.check_integrity()
    assert all(engine.is_clear(block) for block in range(BLOCKS))
    assert not orchestrator._data
    assert_garments_balance(orchestrator)
    assert all(orchestrator.get_session("t", session).state is State.ENDED for session in play.sessions)
    assert sum(recorder.reasons[reason.name] for reason in EndReason) == len(play.sessions), "one ending each"
    for told in play.streams:
        assert_one_story(told)
    await orchestrator.close()
    assert asyncio.all_tasks() == before


def assert_garments_balance(orchestrator: Orchestrator) -> None:
    store = orchestrator.garments
    garments = [garment for of_tenant in store._tenants.values() for garment in of_tenant.values()]
    assert not any(garment.claims for garment in garments)
    assert store.bytes == sum(garment.bytes for garment in garments)
    assert sorted(store._unclaimed) == sorted((g.tenant, g.view.id) for g in garments if not g.kept)


def assert_one_story(told: list[StreamEvent]) -> None:
    """Of one stream: chunks whole and without gaps, each switch answered once, nothing behind the end."""
    made = [event for event in told if isinstance(event, ChunkReady)]
    assert [len(chunk.media) for chunk in made] == [chunk.info.frame_count * 64 * 64 * 3 for chunk in made]
    for one, next_one in pairwise(chunk.info for chunk in made):
        assert next_one.sequence == one.sequence + 1
        assert next_one.first_frame == one.first_frame + one.frame_count
        assert next_one.cursor > one.cursor
    for event, behind in pairwise(told):
        assert not isinstance(event, Ended)
        if isinstance(event, SwitchApplied):
            assert isinstance(behind, ChunkReady)
            assert behind.info.applied_event_ids == (event.event_id,)
    answered = [event.event_id for event in told if isinstance(event, SwitchApplied | SwitchRejected)]
    accepted = [event.event_id for event in told if isinstance(event, SwitchAccepted)]
    assert len(set(answered)) == len(answered)
    assert len(set(accepted)) == len(accepted)
