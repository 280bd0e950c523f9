"""Calls that outlive the engine."""

import asyncio
import time

import pytest

from service.engine.base import EngineUnavailable
from service.engine.fake import FakeEngine
from service.runtime.engine_calls import EngineCalls
from service.runtime.tracer import NoTracer
from tests.service.runtime.conftest import Recorder, picture, until


@pytest.fixture
def calls(engine: FakeEngine) -> EngineCalls:
    def on_down() -> None:
        calls.engine_down()

    calls = EngineCalls(engine, observer=Recorder(), tracer=NoTracer(), clock=time.monotonic, on_down=on_down)
    calls.engine_up()
    return calls


async def test_a_call_that_finds_the_engine_gone_says_so_and_is_made_again_when_it_is_back(
    engine: FakeEngine, calls: EngineCalls
) -> None:
    engine.crash()  # and nobody has told yet
    call = asyncio.create_task(calls.encode_image(picture(1)))
    await until(lambda: not calls.up)
    engine.recover()
    await asyncio.sleep(0)
    assert not call.done()
    calls.engine_up()
    assert (await call == await engine.encode_image(picture(1))).all()


async def test_who_waits_for_the_engine_gives_up_as_the_server_closes(engine: FakeEngine, calls: EngineCalls) -> None:
    engine.crash()
    clearing = asyncio.create_task(calls.clear(0))
    await until(lambda: not calls.up)
    calls.close()
    with pytest.raises(EngineUnavailable):
        await clearing
