"""Sessions of the real service over the fake engine."""

from __future__ import annotations

import asyncio
import io
from contextlib import AsyncExitStack, suppress

import av
import numpy as np
import pytest

from chameleon import AsyncChameleon, Chunk, EndReason, MediaFormat, Pacing, SessionState
from chameleon.errors import (
    AlreadyExists,
    GarmentNotFound,
    SessionEnded,
    SessionLost,
    StreamTakenOver,
    SwitchRejected,
)
from chameleon.playout import CREDITS
from chameleon.session import AsyncSession
from service.app import App
from service.core.pacing import UNATTACHED_CHUNKS
from service.engine.fake import Delays, FakeEngine
from tests.client.conftest import FAST, Proxy, png, wanted
from tests.service.runtime.conftest import until

UNKNOWN_GARMENT = "garments/" + "0" * 32


async def collect(session: AsyncSession) -> list[Chunk]:
    return [chunk async for chunk in session]


def check_order(chunks: list[Chunk]) -> None:
    """No gap, no repeat, no frame out of generation order."""
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    starts = np.cumsum([0] + [chunk.frame_count for chunk in chunks[:-1]])
    assert [chunk.first_frame for chunk in chunks] == starts.tolist()
    assert [chunk.cursor for chunk in chunks] == sorted({chunk.cursor for chunk in chunks})


async def test_h264_chunks_one_behind_the_other_are_a_playable_file(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(format=MediaFormat.H264)) as session:
        chunks = await collect(session)
    check_order(chunks)
    with av.open(io.BytesIO(b"".join(chunk.data for chunk in chunks))) as video:
        frames = [frame.pts for frame in video.decode(video=0)]
    assert len(frames) == sum(chunk.frame_count for chunk in chunks)
    assert frames == sorted(set(frames))


async def test_without_a_gateway_there_is_nothing_to_come_back_by(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted()) as session:
        assert session.affinity is None


async def test_fragments_are_the_same_bytes(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(format=MediaFormat.H264)) as session:
        parts = [part async for part in session.fragments()]
    assert parts[0][4:8] == b"ftyp"
    assert all(part[4:8] == b"moof" for part in parts[1:])


async def test_raw_frames_have_the_size_announced_and_are_numbered(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted()) as session:
        frames = [frame async for frame in session.frames()]
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert {len(frame.data) for frame in frames} == {session.info.width * session.info.height * 3}
    assert frames[-1].pts_s == pytest.approx((len(frames) - 1) / session.info.frames_per_second)
    assert session.ended is not None
    assert session.ended.reason is EndReason.COMPLETED


async def test_jpeg_frames_are_jpeg_files(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(format=MediaFormat.JPEG)) as session:
        assert {frame.data[:2] async for frame in session.frames()} == {b"\xff\xd8"}


async def test_frames_of_h264_are_refused(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(format=MediaFormat.H264)) as session:
        with pytest.raises(ValueError, match="fragments"):
            await anext(session.frames())


async def test_two_large_pictures_go_one_after_the_other(chameleon: AsyncChameleon) -> None:
    large = png(50) + bytes(9 << 20)  # decoders stop at the file's end
    async with chameleon.open_session(**wanted(person=large, garment=large)) as session:
        first = await anext(session)
    assert [garment.name async for garment in chameleon.list_garments()] == [first.garment]


async def test_the_same_seed_gives_the_same_frames(chameleon: AsyncChameleon) -> None:
    videos = []
    for _ in range(2):
        async with chameleon.open_session(**wanted()) as session:
            videos.append(b"".join([chunk.media for chunk in await collect(session)]))
    assert videos[0] == videos[1]


async def test_a_switch_takes_effect_at_the_frame_announced(chameleon: AsyncChameleon) -> None:
    coat = await chameleon.create_garment(png(99))
    async with chameleon.open_session(**wanted(max_duration_s=10.0)) as session:
        chunks = [await anext(session)]
        switch = await session.switch(coat)
        assert switch.accepted.garment == coat.name
        chunks += await collect(session)
    applied = await switch.applied()
    check_order(chunks)
    shown = next(chunk for chunk in chunks if chunk.garment == coat.name)
    assert shown.applied == (applied,)
    assert (shown.sequence, shown.first_frame, shown.cursor) == (applied.sequence, applied.first_frame, applied.cursor)
    assert applied.sequence >= switch.accepted.earliest_sequence
    assert all(chunk.garment == coat.name for chunk in chunks[shown.sequence :])


async def test_not_before_places_a_switch(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=8.0)) as session:
        switch = await session.switch(png(99), not_before_s=3.5)
        await collect(session)
    applied = await switch.applied()
    assert 3.5 <= applied.pts_s < 4.75


async def test_of_many_switches_the_last_wins_and_each_is_answered(chameleon: AsyncChameleon) -> None:
    garments = [await chameleon.create_garment(png(value)) for value in range(100, 112)]
    async with chameleon.open_session(**wanted(max_duration_s=16.0)) as session:
        await anext(session)
        switches = await asyncio.gather(*(session.switch(garment) for garment in garments))
        chunks = await collect(session)
    outcomes = await asyncio.gather(*(switch.applied() for switch in switches), return_exceptions=True)
    rejected = [outcome for outcome in outcomes if isinstance(outcome, SwitchRejected)]
    applied = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(rejected) + len(applied) == len(switches)
    assert {outcome.reason for outcome in rejected} <= {"SWITCH_SUPERSEDED"}
    last = max(applied, key=lambda outcome: outcome.sequence)
    assert chunks[-1].cursor.segment == last.cursor.segment


async def test_an_event_id_given_twice_is_one_switch(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted()) as session:
        first = await session.switch(png(99), event_id="mine")
        again = await session.switch(png(99), event_id="mine")
        chunks = await collect(session)
    assert first.accepted == again.accepted
    assert sum(len(chunk.applied) for chunk in chunks) == 1


async def test_an_event_id_given_again_is_the_same_switch_once_it_is_settled(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
        first = await session.switch(png(99), event_id="mine")
        while not first.settled:
            await anext(session)
        again = await session.switch(png(99), event_id="mine")
        assert await again.applied() == await first.applied()


async def test_a_switch_refused_for_its_event_id_leaves_the_first_one_be(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted()) as session:
        first = await session.switch(png(99), event_id="mine")
        with pytest.raises(AlreadyExists, match="EVENT_ID_REUSED"):
            await session.switch(png(98), event_id="mine")
        await collect(session)
    assert (await asyncio.wait_for(first.applied(), 10)).event_id == "mine"


async def test_a_switch_to_an_unknown_garment_is_refused_and_the_video_goes_on(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted()) as session:
        with pytest.raises(GarmentNotFound) as caught:
            await session.switch(UNKNOWN_GARMENT)
        chunks = await collect(session)
    assert caught.value.resource == UNKNOWN_GARMENT
    check_order(chunks)


async def test_a_garments_name_must_look_like_one(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted()) as session:
        with pytest.raises(ValueError, match="a file is a Path"):
            await session.switch("coat.png")


async def test_leaving_the_block_ends_the_session_and_settles_its_switches(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
        await anext(session)
        switch = await session.switch(png(99), not_before_s=50.0)
    info = await chameleon.get_session(session.name)
    assert (info.state, info.end_reason) == (SessionState.ENDED, EndReason.STOPPED)
    with pytest.raises(SwitchRejected, match="SESSION_ENDED"):
        await switch.applied()
    with pytest.raises(SessionEnded):
        await session.switch(png(99))


async def test_an_error_in_the_block_comes_out_and_still_ends_the_session(chameleon: AsyncChameleon) -> None:
    with pytest.raises(ZeroDivisionError):
        async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
            raise ZeroDivisionError
    assert (await chameleon.get_session(session.name)).state is SessionState.ENDED


async def test_stop_ends_the_iteration(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
        await anext(session)
        await session.stop()
        await collect(session)
    assert session.ended is not None
    assert session.ended.reason is EndReason.STOPPED


async def test_a_paused_session_makes_no_more_chunks_until_it_goes_on(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=20.0)) as session:
        chunks = [await anext(session)]
        session.pause()
        with suppress(asyncio.TimeoutError):
            while True:  # the cancelled read breaks the stream, which must not wake the session
                chunks.append(await asyncio.wait_for(anext(session), 0.3))
        assert (await chameleon.get_session(session.name)).state is SessionState.PAUSED
        session.resume()
        chunks += await collect(session)
    check_order(chunks)
    assert chunks[-1].pts_s + chunks[-1].duration_s >= 20.0


async def test_a_reader_that_stops_holds_the_session_back(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
        taken = await anext(session)
        await asyncio.gather(*(chameleon.capacity() for _ in range(50)))  # time enough for many chunks
        made_s = (await chameleon.get_session(session.name)).generated_s
    assert made_s <= taken.pts_s + taken.duration_s + 3 * 1.0


async def test_a_broken_connection_costs_no_frame(app: App, chameleon: AsyncChameleon, proxy: Proxy) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=16.0)) as session:
        whole = [chunk.media for chunk in await collect(session)]
    async with (
        AsyncChameleon(proxy.address, retry=FAST) as far,
        far.open_session(**wanted(max_duration_s=16.0), detach_grace_s=30.0) as session,
    ):
        chunks = []
        async for chunk in session:
            chunks.append(chunk)
            if chunk.sequence in (0, 4, 8):
                proxy.cut()
    assert proxy.connections == 4
    check_order(chunks)
    assert [chunk.media for chunk in chunks] == whole


async def test_a_connection_broken_around_a_switch_tells_it_once(
    app: App, chameleon: AsyncChameleon, proxy: Proxy
) -> None:
    coat = await chameleon.create_garment(png(99))
    async with (
        AsyncChameleon(proxy.address, retry=FAST) as far,
        far.open_session(**wanted(max_duration_s=16.0), detach_grace_s=30.0) as session,
    ):
        chunks = [await anext(session)]
        switch = await session.switch(coat)
        async for chunk in session:
            chunks.append(chunk)
            if chunk.sequence in (1, 5):
                proxy.cut()
    check_order(chunks)
    assert [applied for chunk in chunks for applied in chunk.applied] == [await switch.applied()]


async def test_a_cancelled_read_costs_no_frame(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(), detach_grace_s=30.0) as session:
        chunks = []
        while len(chunks) < 3:
            reading = asyncio.ensure_future(anext(session))
            await asyncio.sleep(0)  # once begun, it is cancelled
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            chunks.append(await anext(session))
        chunks += await collect(session)
    check_order(chunks)


async def test_a_second_reader_takes_over_where_the_service_still_holds_chunks(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
        taken = await anext(session)
        async with chameleon.attach_session(session.name) as second:
            seen = await anext(second)
            assert seen == taken
            with pytest.raises(StreamTakenOver):
                await collect(session)
        assert (await chameleon.get_session(session.name)).state is not SessionState.ENDED


async def test_whoever_was_taken_over_leaves_the_session_to_the_other_reader(chameleon: AsyncChameleon) -> None:
    async with AsyncExitStack() as others:
        async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
            first = await anext(session)
            second = await others.enter_async_context(chameleon.attach_session(session.name))
            chunks = [await anext(second)]
            with pytest.raises(StreamTakenOver):
                await collect(session)
        chunks += [await anext(second) for _ in range(5)]
        assert chunks[0] == first
        check_order(chunks)


async def test_chunks_made_before_a_stream_use_none_of_its_credits(app: App, chameleon: AsyncChameleon) -> None:
    """A reader that comes when two chunks wait has three under way behind them, as every reader has."""
    async with chameleon.open_session(**wanted(max_duration_s=60.0), detach_grace_s=30.0) as opened:
        session = opened
        reading = asyncio.ensure_future(anext(session))
        await asyncio.sleep(0)  # once begun, it is cancelled, which leaves the session without a stream
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        playout = app.orchestrator._core._sessions[session.name.removeprefix("sessions/")].playout
        await until(lambda: not playout.attached and playout.started - playout.sent == UNATTACHED_CHUNKS)
        waiting = playout.started - playout.sent
        async with chameleon.attach_session(session.name) as second:
            for _ in range(waiting):
                last = await anext(second)
            await until(lambda: playout.sent == last.sequence + 1 + CREDITS)
            assert playout.started == playout.sent
            await asyncio.gather(*(chameleon.capacity() for _ in range(50)))  # time enough for many chunks
            assert playout.started == last.sequence + 1 + CREDITS


async def test_a_session_that_the_engine_lost_says_so(chameleon: AsyncChameleon, engine: FakeEngine) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
        await anext(session)
        engine.crash()
        engine.recover(kept=False)
        with pytest.raises(SessionLost, match="without the session's state") as caught:
            await collect(session)
    assert caught.value.resource == session.name


async def test_an_engine_that_comes_back_with_its_state_costs_nothing(
    chameleon: AsyncChameleon, engine: FakeEngine
) -> None:
    async with chameleon.open_session(**wanted()) as session:
        chunks = [await anext(session)]
        engine.crash()
        engine.recover(kept=True)
        chunks += await collect(session)
    check_order(chunks)


async def test_a_service_that_shuts_down_says_how_long_the_session_may_run(app: App, chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=30.0)) as session:
        await anext(session)
        app.orchestrator.begin_drain(20.0)
        await collect(session)
    assert session.draining_s == 20.0
    assert session.ended is not None
    assert session.ended.reason is EndReason.COMPLETED


class TestRealTime:
    @pytest.fixture
    def engine(self) -> FakeEngine:
        return FakeEngine(delays=Delays(pass_s=0.001, decode_s=0.001))

    async def test_a_real_time_session_comes_at_playing_speed(self, chameleon: AsyncChameleon) -> None:
        """Three chunks are under way; each one more costs the time that one plays."""
        loop = asyncio.get_running_loop()
        async with chameleon.open_session(**wanted(pacing=Pacing.REALTIME, max_duration_s=4.0)) as session:
            began_s = loop.time()
            chunks = await collect(session)
        passed_s = loop.time() - began_s
        ahead_s = sum(chunk.duration_s for chunk in chunks[-3:])
        assert chunks[-1].pts_s + chunks[-1].duration_s - ahead_s - 0.1 <= passed_s < 10.0
