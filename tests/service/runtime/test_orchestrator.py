"""Sessions end to end over the fake engine, below the API."""

import asyncio
import hashlib
import time
from dataclasses import replace

import pytest

from contract.cache_plan import Policy
from service.core.errors import (
    Aborted,
    FailedPrecondition,
    NotFound,
    OutOfRange,
    ResourceExhausted,
)
from service.core.events import (
    ChunkReady,
    Cursor,
    Ended,
    EndReason,
    MediaFormat,
    Pacing,
    SessionConfig,
    Started,
    StreamEvent,
    Switch,
    SwitchApplied,
    SwitchRejected,
)
from service.core.pacing import MAX_UNSENT
from service.engine.base import EngineError
from service.engine.fake import Delays, FakeEngine
from service.runtime.garments import NewGarment
from service.runtime.orchestrator import Orchestrator
from service.runtime.session_data import present
from service.runtime.stream import Subscription
from tests.service.runtime.conftest import Recorder, picture, until

CONFIG = SessionConfig(
    tenant="t",
    garment="",
    prompt="waves",
    seed=7,
    format=MediaFormat.RAW_RGB24,
    pacing=Pacing.UNPACED,
    max_duration_s=5.0,
)


async def open_session(orchestrator: Orchestrator, config: SessionConfig = CONFIG) -> str:
    garment = orchestrator.garments.add(config.tenant, NewGarment.of(b"red", picture(10)))
    view = await orchestrator.create_session(replace(config, garment=garment.id), person_rgb=picture(50))
    return view.id


async def read(subscription: Subscription, *, chunks: int | None = None) -> list[StreamEvent]:
    """Events until the end, or until `chunks` chunks are in."""
    events: list[StreamEvent] = []
    async with asyncio.timeout(20):
        async for event in subscription:
            events.append(event)
            if isinstance(event, ChunkReady):
                subscription.sent(event)
                if sum(isinstance(e, ChunkReady) for e in events) == chunks:
                    break
    return events


def media(events: list[StreamEvent]) -> list[str]:
    return [hashlib.sha256(e.media).hexdigest() for e in events if isinstance(e, ChunkReady)]


async def settled(orchestrator: Orchestrator) -> None:
    """Wait until every block is free again."""
    await until(lambda: orchestrator._core.block_counts()["free"] == 4)
    orchestrator._core.check_integrity()


async def test_a_session_streams_to_its_end_and_leaves_a_clean_block(
    orchestrator: Orchestrator, engine: FakeEngine, recorder: Recorder
) -> None:
    session = await open_session(orchestrator)
    events = await read(orchestrator.attach("t", session, None))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Ended)
    assert events[-1].reason is EndReason.COMPLETED
    made = [e for e in events if isinstance(e, ChunkReady)]
    assert [e.info.sequence for e in made] == list(range(len(made)))
    assert all(len(e.media) == e.info.frame_count * 64 * 64 * 3 for e in made)
    await settled(orchestrator)
    assert all(engine.is_clear(block) for block in range(4))
    assert recorder.first_frames == 1
    assert {"queue", "text", "encode", "prefill", "denoise", "commit", "decode", "media"} <= set(recorder.stages)


async def test_the_same_request_gives_the_same_frames_and_another_seed_others(orchestrator: Orchestrator) -> None:
    runs = []
    for seed in (7, 7, 8):
        session = await open_session(orchestrator, replace(CONFIG, seed=seed))
        runs.append(media(await read(orchestrator.attach("t", session, None))))
    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])


@pytest.mark.parametrize("policy", Policy)
async def test_a_switch_shows_the_new_garment_from_its_chunk_on(orchestrator: Orchestrator, policy: Policy) -> None:
    session = await open_session(orchestrator)
    other = await orchestrator.garments.create("t", NewGarment.of(b"blue", picture(200)))
    switch = Switch(event_id="e", garment=other.id, policy=policy, not_before_s=1.0)
    await orchestrator.switch_garment("t", session, switch)
    events = await read(orchestrator.attach("t", session, None))
    applied = next(e for e in events if isinstance(e, SwitchApplied))
    made = [e.info for e in events if isinstance(e, ChunkReady)]
    assert [c.garment == other.id for c in made] == [c.sequence >= applied.sequence for c in made]
    assert applied.pts_s >= 1.0


@pytest.mark.parametrize("policy", Policy)
async def test_a_switch_before_the_first_chunk_leaves_each_chunk_the_frames_it_announces(
    orchestrator: Orchestrator, policy: Policy
) -> None:
    session = await open_session(orchestrator)
    garment = orchestrator.garments.list("t")[0].id
    await orchestrator.switch_garment("t", session, Switch(event_id="e", garment=garment, policy=policy))
    made = [e for e in await read(orchestrator.attach("t", session, None)) if isinstance(e, ChunkReady)]
    assert made[0].info.applied_event_ids == ("e",)
    assert [len(e.media) for e in made] == [e.info.frame_count * 64 * 64 * 3 for e in made]
    assert [e.info.frame_count for e in made[:2]] == [9, 12]


async def test_the_last_frame_is_kept_for_a_switch_and_latents_no_longer_than_needed(
    orchestrator: Orchestrator,
) -> None:
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
    subscription = orchestrator.attach("t", session, None)
    await until(lambda: orchestrator._data[session].log.unread == MAX_UNSENT)
    data = orchestrator._data[session]
    newest = data.log.at(data.log.end - 1)
    assert isinstance(newest, ChunkReady)
    assert present(data.last_frame).tobytes() == newest.media[-(64 * 64 * 3) :]
    assert not data.decoding
    assert not data.frames
    subscription.close()


async def test_a_chunk_is_the_same_whether_or_not_a_switch_follows_it(orchestrator: Orchestrator) -> None:
    plain = media(await read(orchestrator.attach("t", await open_session(orchestrator), None)))
    session = await open_session(orchestrator)
    other = await orchestrator.garments.create("t", NewGarment.of(b"blue", picture(200)))
    await orchestrator.switch_garment("t", session, Switch(event_id="e", garment=other.id, not_before_s=2.0))
    events = await read(orchestrator.attach("t", session, None))
    applied = next(e for e in events if isinstance(e, SwitchApplied))
    switched = media(events)
    assert switched[: applied.sequence] == plain[: applied.sequence]
    assert not set(switched[applied.sequence :]) & set(plain)


async def test_sessions_side_by_side_do_not_touch_each_other(orchestrator: Orchestrator) -> None:
    alone = media(await read(orchestrator.attach("t", await open_session(orchestrator), None)))
    await settled(orchestrator)
    sessions = [await open_session(orchestrator) for _ in range(4)]
    together = await asyncio.gather(*(read(orchestrator.attach("t", s, None)) for s in sessions))
    assert all(media(events) == alone for events in together)


async def test_a_reader_that_comes_back_goes_on_where_it_was(orchestrator: Orchestrator) -> None:
    whole = media(await read(orchestrator.attach("t", await open_session(orchestrator), None)))
    session = await open_session(orchestrator)
    first = orchestrator.attach("t", session, None)
    got = await read(first, chunks=2)
    first.close()
    rest = await read(orchestrator.attach("t", session, Cursor(segment=0, chunk=2)))
    assert media(got) + media(rest) == whole


async def test_a_second_reader_takes_over_and_the_first_is_told(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator)
    first = orchestrator.attach("t", session, None)
    await read(first, chunks=1)
    second = orchestrator.attach("t", session, None)
    with pytest.raises(Aborted) as caught:
        await read(first)
    assert caught.value.reason == "STREAM_TAKEN_OVER"
    first.close()
    assert isinstance((await read(second))[-1], Ended), "closing the first did not detach the second"


async def test_a_reader_that_comes_back_for_the_end_finds_it(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator, replace(CONFIG, detach_grace_s=60.0))
    first = orchestrator.attach("t", session, None)
    whole = await read(first)
    first.close()
    newest = next(event for event in reversed(whole) if isinstance(event, ChunkReady))
    again = orchestrator.attach("t", session, newest.info.cursor)
    started, chunk, ended = await read(again)
    assert isinstance(started, Started)
    assert (chunk, ended) == (newest, whole[-1])
    again.close()


async def test_the_end_is_forgotten_after_the_grace(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator, replace(CONFIG, detach_grace_s=0.0))
    await read(orchestrator.attach("t", session, None))
    await until(lambda: session not in orchestrator._ended_logs and session not in orchestrator._data)
    with pytest.raises(FailedPrecondition) as caught:
        orchestrator.attach("t", session, None)
    assert caught.value.reason == "SESSION_ENDED"


async def test_chunks_that_a_reader_passes_over_are_not_waited_for(orchestrator: Orchestrator) -> None:
    """As many lie unread as may, and the next reader begins behind them."""
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
    first = orchestrator.attach("t", session, None)
    await read(first, chunks=1)
    await until(lambda: orchestrator._data[session].log.unread == MAX_UNSENT)
    second = orchestrator.attach("t", session, orchestrator.get_session("t", session).next)
    events = await read(second, chunks=3)
    assert [e.info.sequence for e in events if isinstance(e, ChunkReady)] == [4, 5, 6]
    second.close()


async def test_a_reader_that_has_the_last_chunk_though_its_stream_broke_gets_the_end(
    orchestrator: Orchestrator,
) -> None:
    session = await open_session(orchestrator, replace(CONFIG, detach_grace_s=60.0))
    first = orchestrator.attach("t", session, None)
    await read(first, chunks=5)
    last = await anext(first)
    assert isinstance(last, ChunkReady)
    first.close()
    behind = replace(last.info.cursor, chunk=last.info.cursor.chunk + 1)
    started, ended = await read(orchestrator.attach("t", session, behind))
    assert isinstance(started, Started)
    assert isinstance(ended, Ended)
    assert ended.reason is EndReason.COMPLETED


async def test_cursors_out_of_reach_are_refused(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=8)
    with pytest.raises(OutOfRange, match="no longer held") as caught:
        orchestrator.attach("t", session, Cursor(segment=0, chunk=0))
    assert caught.value.reason == "CURSOR_EXPIRED"
    with pytest.raises(OutOfRange) as caught:
        orchestrator.attach("t", session, Cursor(segment=9, chunk=0))
    assert caught.value.reason == "CURSOR_AHEAD"
    assert await read(subscription, chunks=1), "the reader was not disturbed"
    subscription.close()


async def test_a_reader_that_does_not_read_holds_the_session_still(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
    subscription = orchestrator.attach("t", session, None)
    await anext(subscription)
    before = -1.0
    async with asyncio.timeout(10):
        while (now := orchestrator.get_session("t", session).generated_s) != before:
            before = now
            await asyncio.sleep(0.1)
    assert now <= 3.0
    subscription.close()


async def test_a_lost_reader_frees_the_block_within_two_seconds(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=1)
    subscription.close()
    await until(lambda: orchestrator._core.block_counts()["free"] == 4, within_s=2.0)
    assert orchestrator.get_session("t", session).end_reason is EndReason.ABANDONED


async def test_ending_a_session_at_any_moment_leaves_clean_books(
    orchestrator: Orchestrator, engine: FakeEngine
) -> None:
    engine._delays = Delays(encode_s=0.003, pass_s=0.003, decode_s=0.01)
    for moment in range(12):
        session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
        subscription = orchestrator.attach("t", session, None)
        await asyncio.sleep(0.007 * moment)
        await orchestrator.end_session("t", session)
        events = await read(subscription)
        assert isinstance(events[-1], Ended)
        assert events[-1].reason is EndReason.STOPPED
        await settled(orchestrator)
        assert all(engine.is_clear(block) for block in range(4))


async def test_an_engine_that_dies_and_comes_back_changes_no_frame(
    orchestrator: Orchestrator, engine: FakeEngine, recorder: Recorder
) -> None:
    whole = media(await read(orchestrator.attach("t", await open_session(orchestrator), None)))
    engine._delays = Delays(pass_s=0.002, decode_s=0.005)
    session = await open_session(orchestrator)
    subscription = orchestrator.attach("t", session, None)
    got = await read(subscription, chunks=1)
    engine.crash()
    await asyncio.sleep(0.05)
    engine.recover()
    got += await read(subscription)
    assert media(got) == whole
    assert recorder.ups == [True, False, True]


async def test_an_engine_that_lost_the_blocks_ends_the_session_with_the_reason(
    orchestrator: Orchestrator, engine: FakeEngine
) -> None:
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0))
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=1)
    engine.crash()
    engine.recover(kept=False)
    ended = (await read(subscription))[-1]
    assert isinstance(ended, Ended)
    assert (ended.reason, "SESSION_LOST" in ended.message) == (EndReason.LOST, True)
    again = await open_session(orchestrator)
    assert isinstance((await read(orchestrator.attach("t", again, None)))[-1], Ended)


async def test_a_step_that_the_engine_refuses_ends_its_session_and_no_other(
    orchestrator: Orchestrator, engine: FakeEngine
) -> None:
    engine._delays = Delays(pass_s=0.002)
    sessions = [await open_session(orchestrator) for _ in range(2)]
    subscriptions = [orchestrator.attach("t", s, None) for s in sessions]
    await asyncio.gather(*(read(s, chunks=1) for s in subscriptions))
    engine.fail_next.append(EngineError("out of memory"))
    ends = [events[-1] for events in await asyncio.gather(*(read(s) for s in subscriptions))]
    assert sorted(end.reason for end in ends) == [EndReason.COMPLETED, EndReason.LOST]
    assert any("out of memory" in end.message for end in ends)


async def test_a_prompt_that_comes_with_a_switch_changes_the_frames(orchestrator: Orchestrator) -> None:
    runs = []
    for prompt in (None, "dances"):
        session = await open_session(orchestrator)
        garment = orchestrator.garments.list("t")[0].id
        switch = Switch(event_id="e", garment=garment, prompt=prompt, not_before_s=1.0)
        await orchestrator.switch_garment("t", session, switch)
        runs.append(await read(orchestrator.attach("t", session, None)))
    applied = next(e for e in runs[0] if isinstance(e, SwitchApplied)).sequence
    assert media(runs[0])[:applied] == media(runs[1])[:applied]
    assert not set(media(runs[0])[applied:]) & set(media(runs[1])[applied:])
    assert orchestrator.list_sessions("t")[0].prompt == "dances"


async def test_a_prompt_goes_with_the_switch_that_brought_it_if_a_later_one_overtakes_that(
    orchestrator: Orchestrator,
) -> None:
    session = await open_session(orchestrator, replace(CONFIG, pacing=Pacing.REALTIME, max_duration_s=60.0))
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=3)  # the next one is held back by pacing
    data, garment = orchestrator._data[session], orchestrator.garments.list("t")[0].id
    before = data.text
    await orchestrator.switch_garment("t", session, Switch(event_id="begun", garment=garment, prompt="dances"))
    await until(lambda: data.text is not before)
    await orchestrator.switch_garment("t", session, Switch(event_id="later", garment=garment))
    events = await read(subscription, chunks=1)
    assert [(e.event_id, e.reason) for e in events if isinstance(e, SwitchRejected)] == [("begun", "SWITCH_SUPERSEDED")]
    assert [e.event_id for e in events if isinstance(e, SwitchApplied)] == ["later"]
    assert data.text is before
    assert orchestrator.get_session("t", session).prompt == CONFIG.prompt
    subscription.close()


async def test_garments_and_sessions_belong_to_their_tenant(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator)
    garment = orchestrator.garments.list("t")[0].id
    assert orchestrator.list_sessions("u") == []
    with pytest.raises(NotFound):
        orchestrator.get_session("u", session)
    with pytest.raises(NotFound):
        orchestrator.garments.get("u", garment)
    with pytest.raises(NotFound):
        orchestrator.attach("u", session, None)
    await orchestrator.end_session("t", session)


async def test_an_unknown_garment_is_refused_before_anything_is_leased(orchestrator: Orchestrator) -> None:
    with pytest.raises(NotFound, match="no garment nope"):
        await orchestrator.create_session(replace(CONFIG, garment="nope"), person_rgb=picture(1))
    session = await open_session(orchestrator)
    with pytest.raises(NotFound, match="no garment nope"):
        await orchestrator.switch_garment("t", session, Switch(event_id="e", garment="nope"))
    await orchestrator.end_session("t", session)
    await settled(orchestrator)


async def test_a_full_service_refuses_with_a_time_to_retry(orchestrator: Orchestrator, recorder: Recorder) -> None:
    sessions = [await open_session(orchestrator, replace(CONFIG, max_duration_s=60.0)) for _ in range(4)]
    with pytest.raises(ResourceExhausted) as caught:
        await open_session(orchestrator)
    assert (caught.value.reason, caught.value.retry_after_s) >= ("SESSION_CAPACITY", 1.0)
    assert recorder.reasons["SESSION_CAPACITY"] == 1
    await orchestrator.end_session("t", sessions[0])
    await until(lambda: orchestrator.capacity(Pacing.UNPACED).available > 0)
    await open_session(orchestrator)


async def test_switches_after_the_end_are_refused_and_pending_ones_are_answered(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator)
    garment = orchestrator.garments.list("t")[0].id
    await orchestrator.switch_garment("t", session, Switch(event_id="late", garment=garment, not_before_s=1000.0))
    events = await read(orchestrator.attach("t", session, None))
    rejected = next(e for e in events if isinstance(e, SwitchRejected))
    assert (rejected.event_id, rejected.reason) == ("late", "SESSION_ENDED")
    with pytest.raises(FailedPrecondition):
        await orchestrator.switch_garment("t", session, Switch(event_id="later", garment=garment))


async def test_draining_ends_with_every_session(orchestrator: Orchestrator) -> None:
    session = await open_session(orchestrator, replace(CONFIG, max_duration_s=600.0))
    subscription = orchestrator.attach("t", session, None)
    await read(subscription, chunks=1)
    orchestrator.begin_drain(0.3)
    assert not orchestrator._drained.is_set()
    events = await read(subscription)
    async with asyncio.timeout(5):
        await orchestrator.drained()
    assert isinstance(events[-1], Ended)
    assert events[-1].reason is EndReason.DRAINED


@pytest.mark.parametrize("busy", [False, True])
async def test_closing_ends_what_runs_and_waits_for_it(
    orchestrator: Orchestrator, engine: FakeEngine, busy: bool
) -> None:
    engine._delays = Delays(pass_s=0.01, decode_s=0.02)
    session = await open_session(orchestrator)
    subscription = orchestrator.attach("t", session, None)
    await until(lambda: orchestrator._data[session].log.unread == MAX_UNSENT and not orchestrator._tasks._tasks)
    if busy:
        await read(subscription, chunks=1)
    await orchestrator.close()
    assert not orchestrator._data
    assert all(engine.is_clear(block) for block in range(4))
    ended = (await read(subscription))[-1]
    assert isinstance(ended, Ended)
    assert ended.reason is EndReason.DRAINED


async def test_an_end_is_counted_by_its_reason(orchestrator: Orchestrator, recorder: Recorder) -> None:
    await orchestrator.end_session("t", await open_session(orchestrator))
    assert recorder.reasons["STOPPED"] == 1


async def test_pacing_leaves_the_real_time_factor_of_a_fast_engine_above_one(
    orchestrator: Orchestrator, recorder: Recorder
) -> None:
    session = await open_session(orchestrator, replace(CONFIG, pacing=Pacing.REALTIME, max_duration_s=600.0))
    await read(orchestrator.attach("t", session, None), chunks=5)
    assert len(recorder.factors) >= 4
    assert min(recorder.factors[2:]) > 1.2, "paced chunks are ready one playing time apart"


async def test_the_first_frame_is_timed_from_when_the_request_came_in(
    orchestrator: Orchestrator, recorder: Recorder
) -> None:
    garment = orchestrator.garments.add("t", NewGarment.of(b"red", picture(10)))
    config = replace(CONFIG, garment=garment.id)
    asked_s = time.monotonic() - 100.0
    view = await orchestrator.create_session(config, person_rgb=picture(50), asked_s=asked_s)
    await read(orchestrator.attach("t", view.id, None), chunks=1)
    assert recorder.first_frame_s >= 100.0


async def test_the_observer_hears_of_the_books_soon_after_they_change(
    orchestrator: Orchestrator, recorder: Recorder
) -> None:
    assert recorder.slots == {"free": 4, "leased": 0, "clearing": 0}
    session = await open_session(orchestrator)
    await until(lambda: recorder.slots == {"free": 3, "leased": 1, "clearing": 0})
    await orchestrator.end_session("t", session)
    await until(lambda: recorder.slots == {"free": 4, "leased": 0, "clearing": 0})
