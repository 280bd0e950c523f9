"""Faults of ours, of any kind, in the background: the session they cost is told, nothing is leaked, nothing hangs."""

import asyncio
import re
from dataclasses import replace

import pytest

from service.core.errors import ResourceExhausted
from service.core.events import ChunkReady, Ended, EndReason, StreamEvent, Switch, SwitchApplied, SwitchRejected
from service.engine.base import EngineError, Latents
from service.engine.fake import FakeEngine
from service.runtime import orchestrator as orchestrator_module
from service.runtime.garments import NewGarment
from service.runtime.orchestrator import Orchestrator
from service.runtime.stream import MAX_UNREAD_EVENTS
from tests.service.runtime.conftest import Recorder, picture, until
from tests.service.runtime.test_orchestrator import CONFIG, open_session, read, settled


def assert_lost(events: list[StreamEvent], caplog: pytest.LogCaptureFixture, fault: str) -> None:
    """The stream's end names the incident under which the fault is logged."""
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.reason is EndReason.LOST
    assert fault not in ended.message
    found = re.search(r"incident ([0-9a-f]{32})", ended.message)
    assert found is not None
    assert found[1] in caplog.text
    assert fault in caplog.text, "with its traceback"


@pytest.mark.parametrize("fault", [TypeError("of our making"), MemoryError("of our making")])
async def test_a_step_that_fails_unexpectedly_ends_its_session_and_no_other(
    orchestrator: Orchestrator,
    engine: FakeEngine,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
) -> None:
    victim, healthy = [orchestrator.attach("t", await open_session(orchestrator), None) for _ in range(2)]
    await asyncio.gather(read(victim, chunks=1), read(healthy, chunks=1))
    engine.fail_next.append(fault)  # type: ignore[arg-type]
    ends = await asyncio.gather(read(victim), read(healthy))
    lost, whole = sorted(ends, key=lambda events: events[-1].reason is not EndReason.LOST)  # type: ignore[union-attr]
    assert_lost(lost, caplog, "of our making")
    assert whole[-1].reason is EndReason.COMPLETED  # type: ignore[union-attr]
    assert recorder.reasons["LOST"] == 1
    await settled(orchestrator)
    assert (await read(orchestrator.attach("t", await open_session(orchestrator), None), chunks=1))[1:]


async def test_a_media_encoder_that_fails_ends_the_session(
    orchestrator: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    session = await open_session(orchestrator)

    def broken(*_: object, **__: object) -> None:
        raise MemoryError("no frame")

    orchestrator._data[session].encoder.encode = broken  # type: ignore[method-assign, assignment]
    assert_lost(await read(orchestrator.attach("t", session, None)), caplog, "no frame")
    await settled(orchestrator)


async def test_a_session_that_cannot_open_for_a_fault_of_ours_is_told(
    orchestrator: Orchestrator, engine: FakeEngine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(prompt: str) -> None:
        raise KeyError("no such word")

    monkeypatch.setattr(engine, "encode_text", broken)
    session = await open_session(orchestrator)
    assert_lost(await read(orchestrator.attach("t", session, None)), caplog, "no such word")
    await settled(orchestrator)


async def test_a_switch_that_fails_for_a_fault_of_ours_is_rejected_and_the_stream_goes_on(
    orchestrator: Orchestrator, engine: FakeEngine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await open_session(orchestrator)
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=1)

    async def broken(prompt: str) -> None:
        raise KeyError("no such word")

    monkeypatch.setattr(engine, "encode_text", broken)
    garment = orchestrator.garments.list("t")[0].id
    await orchestrator.switch_garment("t", session, Switch(event_id="e", garment=garment, prompt="dances"))
    events = await read(subscription)
    rejected = next(event for event in events if isinstance(event, SwitchRejected))
    assert (rejected.event_id, rejected.reason) == ("e", "INTERNAL")
    assert "incident" in rejected.message
    assert "no such word" in caplog.text
    assert events[-1].reason is EndReason.COMPLETED  # type: ignore[union-attr]


async def test_an_encoder_that_cannot_be_opened_leases_nothing(
    orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("odd sides")

    monkeypatch.setattr(orchestrator_module, "open_encoder", broken)
    with pytest.raises(ValueError, match="odd"):
        await open_session(orchestrator)
    await settled(orchestrator)
    assert orchestrator.list_sessions("t") == []


async def test_a_switch_that_was_overtaken_while_it_was_encoded_leaves_nothing_behind(
    orchestrator: Orchestrator, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await open_session(orchestrator)
    data = orchestrator._data[session]
    encode, may, encoded = engine.encode_image, asyncio.Event(), asyncio.Event()

    async def slowly(rgb: object) -> Latents:
        if (rgb == picture(200)).all():  # type: ignore[attr-defined]
            await may.wait()
            encoded.set()
        return await encode(rgb)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "encode_image", slowly)
    late = NewGarment.of(b"late", picture(200))
    await orchestrator.switch_garment("t", session, Switch(event_id="late", garment=late.id), late)
    quick = orchestrator.garments.list("t")[-1].id
    await orchestrator.switch_garment("t", session, Switch(event_id="quick", garment=quick))
    subscription = orchestrator.attach("t", session, None)
    events = await read(subscription, chunks=3)
    assert "quick" in [event.event_id for event in events if isinstance(event, SwitchApplied)]
    may.set()
    await encoded.wait()
    await until(lambda: not any("late" in task.get_name() for task in asyncio.all_tasks()))
    assert session in orchestrator._data
    assert not data.switches
    await read(subscription)


async def test_a_session_whose_events_nobody_reads_takes_no_more_switches(
    orchestrator: Orchestrator, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=1)

    async def refuses(rgb: object) -> Latents:
        raise EngineError("no")

    monkeypatch.setattr(engine, "encode_image", refuses)

    async def ask(number: int) -> None:
        garment = NewGarment.of(bytes([number]), picture(number))
        event_id = f"e{number}"
        await orchestrator.switch_garment("t", session, Switch(event_id=event_id, garment=garment.id), garment)
        await until(lambda: event_id not in orchestrator._data[session].switches)

    asked = 0
    while orchestrator._data[session].log.unread < MAX_UNREAD_EVENTS:
        await ask(asked)
        asked += 1
    with pytest.raises(ResourceExhausted, match=f"{MAX_UNREAD_EVENTS} events") as caught:
        await ask(asked)
    assert caught.value.reason == "TOO_MANY_SWITCHES"
    for _ in range(10):
        event = await anext(subscription)
        if isinstance(event, ChunkReady):
            subscription.sent(event)
    await ask(asked)


async def test_what_ended_says_was_generated_is_what_the_reader_gets_before_it(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator)
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=1)
    await until(lambda: orchestrator._data[session].log.video_s > 2.0)  # made and not read yet
    await orchestrator.end_session("t", session)
    ended = (rest := await read(subscription))[-1]
    assert isinstance(ended, Ended)
    last = next(event.info for event in reversed(rest) if isinstance(event, ChunkReady))
    assert ended.generated_s == last.pts_s + last.duration_s


async def test_a_garment_lives_as_long_as_a_session_wears_it_or_a_switch_waits_for_it(engine: FakeEngine) -> None:
    orchestrator = Orchestrator(engine, observer=Recorder(), garment_bytes=1)
    await orchestrator.start()
    red, blue = (NewGarment.of(name, picture(value)) for name, value in ((b"red", 10), (b"blue", 200)))
    view = await orchestrator.create_session(replace(CONFIG, garment=red.id), person_rgb=picture(50), garment=red)
    switch = Switch(event_id="e", garment=blue.id, not_before_s=3.0)
    await orchestrator.switch_garment("t", view.id, switch, blue)
    subscription = orchestrator.attach("t", view.id, None)
    await read(subscription, chunks=1)
    assert {garment.id for garment in orchestrator.garments.list("t")} == {red.id, blue.id}
    events = await read(subscription, chunks=5)
    assert any(isinstance(event, SwitchApplied) for event in events)
    assert {garment.id for garment in orchestrator.garments.list("t")} == {blue.id}
    await orchestrator.end_session("t", view.id)
    await until(lambda: not orchestrator.garments.list("t"))
    await orchestrator.close()


async def test_a_session_that_is_refused_stores_no_garment(orchestrator: Orchestrator, engine: FakeEngine) -> None:
    for _ in range(4):
        await open_session(orchestrator)
    before = orchestrator.garments.list("t")
    blue = NewGarment.of(b"blue", picture(200))
    with pytest.raises(ResourceExhausted):
        await orchestrator.create_session(replace(CONFIG, garment=blue.id), person_rgb=picture(50), garment=blue)
    assert orchestrator.garments.list("t") == before
