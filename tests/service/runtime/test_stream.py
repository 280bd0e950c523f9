"""A session's log and its reader, alone."""

import pytest

from service.core.errors import OutOfRange
from service.core.events import ChunkInfo, ChunkReady, Cursor, Ended, EndReason, Started, Timings
from service.runtime.stream import StreamLog, Subscription


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def chunk(number: int, cursor: Cursor | None = None) -> ChunkReady:
    info = ChunkInfo(
        sequence=number,
        cursor=cursor or Cursor(segment=0, chunk=number),
        pts_s=float(number),
        duration_s=1.0,
        first_frame=12 * number,
        frame_count=12,
        garment="g",
        applied_event_ids=(),
        timings=Timings(),
    )
    return ChunkReady(info=info)


def subscribe(log: StreamLog, cursor: Cursor | None = None) -> Subscription:
    started = Started(session=None)  # type: ignore[arg-type] # the log does not look at it
    newest = Cursor(segment=0, chunk=9)
    return Subscription(
        log, started=started, cursor=cursor, newest=newest, on_sent=lambda _: None, on_close=lambda: None
    )


async def test_a_reader_knows_how_long_a_chunk_waited_for_it() -> None:
    clock = Clock()
    log = StreamLog(clock)
    reader = subscribe(log)
    assert isinstance(await anext(reader), Started)
    log.append(chunk(0))
    clock.now_s = 0.25
    log.append(chunk(1))
    for waited_s in (0.25, 0.0):
        event = await anext(reader)
        assert isinstance(event, ChunkReady)
        assert reader.waited_s == waited_s
        reader.sent(event)


async def test_a_chunk_that_was_written_before_waits_for_no_one() -> None:
    clock = Clock()
    log = StreamLog(clock)
    first = subscribe(log)
    for number in range(8):
        log.append(chunk(number))
    log.append(Ended(reason=EndReason.COMPLETED, message="", generated_s=8.0))
    async for event in first:
        if isinstance(event, ChunkReady):
            first.sent(event)
    clock.now_s = 100.0
    again = subscribe(log, Cursor(segment=0, chunk=6))
    waits = [again.waited_s async for event in again if isinstance(event, ChunkReady)]
    assert waits == [0.0, 0.0]


async def test_a_cursor_where_a_switch_came_instead_begins_at_the_next_chunk() -> None:
    log = StreamLog(Clock())
    first = subscribe(log)
    cursors = [Cursor(segment=0, chunk=0), Cursor(segment=0, chunk=1), Cursor(segment=2, chunk=0)]
    for number, cursor in enumerate(cursors):
        log.append(chunk(number, cursor))
    first.close()
    again = subscribe(log, Cursor(segment=0, chunk=2))
    assert isinstance(await anext(again), Started)
    event = await anext(again)
    assert isinstance(event, ChunkReady)
    assert event.info.cursor == cursors[2]


async def test_the_newest_chunk_that_is_gone_and_a_segment_that_cannot_come_next_are_out_of_range() -> None:
    log = StreamLog(Clock())
    reader = subscribe(log)
    for number in range(6):
        log.append(chunk(number))
    async for event in reader:
        assert isinstance(event, Started | ChunkReady)
        if isinstance(event, ChunkReady):
            reader.sent(event)
            if event.info.sequence == 5:
                break
    for cursor, reason in (
        (Cursor(segment=0, chunk=1), "CURSOR_EXPIRED"),
        (Cursor(segment=2, chunk=0), "CURSOR_AHEAD"),
    ):
        with pytest.raises(OutOfRange) as caught:
            subscribe(log, cursor)
        assert caught.value.reason == reason
    for cursor in (Cursor(segment=0, chunk=2), Cursor(segment=1, chunk=0)):
        subscribe(log, cursor)


async def test_what_a_stream_writes_after_another_took_over_is_not_sent() -> None:
    log = StreamLog(Clock())
    first = subscribe(log)
    log.append(chunk(0))
    assert isinstance(await anext(first), Started)
    event = await anext(first)
    assert isinstance(event, ChunkReady)
    subscribe(log)
    first.sent(event)
    assert (log.unread, log.next_chunk) == (1, 0)
