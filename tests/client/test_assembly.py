"""Chunks from what streams bring."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fashionchameleon.v1 import media_pb2
from hypothesis import given
from hypothesis import strategies as st

from chameleon.assembly import Assembly
from chameleon.errors import ProtocolError
from chameleon.types import Chunk, Cursor, MediaFormat, Pacing, Policy, SessionInfo, SessionState, SwitchApplied

INFO = SessionInfo(
    name="sessions/s",
    state=SessionState.STREAMING,
    created=datetime.fromtimestamp(0, tz=UTC),
    garment="garments/g",
    prompt="waves",
    seed=1,
    format=MediaFormat.H264,
    pacing=Pacing.UNPACED,
    policy=Policy.REFRESH,
    width=8,
    height=8,
    frames_per_second=12,
    generated_s=0.0,
    end_reason=None,
)


def messages(
    sequence: int, *, segment: int = 0, init: bytes = b"", applied: tuple[str, ...] = ()
) -> list[media_pb2.ChunkHeader | media_pb2.MediaPart]:
    """A chunk of two parts, three with an init segment."""
    pieces = [piece for piece in (init, b"a%d" % sequence, b"b") if piece]
    header = media_pb2.ChunkHeader(
        sequence=sequence,
        cursor=media_pb2.Cursor(segment=segment, chunk=sequence),
        frame_count=12,
        degradation=sequence % 3,
        media_bytes=sum(map(len, pieces)) - len(init),
        part_count=len(pieces),
        applied_event_ids=applied,
    )
    parts = [
        media_pb2.MediaPart(sequence=sequence, index=index, init_segment=bool(init) and index == 0, data=piece)
        for index, piece in enumerate(pieces)
    ]
    return [header, *parts]


def feed(assembly: Assembly, *received: media_pb2.ChunkHeader | media_pb2.MediaPart) -> list[Chunk]:
    chunks = []
    for message in received:
        whole = assembly.header(message) if isinstance(message, media_pb2.ChunkHeader) else assembly.part(message)
        chunks += [] if whole is None else [whole]
    return chunks


@given(cuts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 16)), max_size=8))
def test_wherever_streams_are_cut_each_chunk_comes_once_in_order_with_one_init_segment(
    cuts: list[tuple[int, int]],
) -> None:
    assembly, chunks = Assembly(INFO), []
    for back, length in [*cuts, (0, 10_000)]:
        begin = max(0, len(chunks) - 1 - back)  # the stream repeats some
        stream = [m for n in range(begin, 10) for m in messages(n, init=b"init" if n == begin else b"")]
        chunks += feed(assembly, *stream[:length])
        assembly.break_off()
    assert [chunk.sequence for chunk in chunks] == list(range(10))
    assert [chunk.degradation for chunk in chunks] == [sequence % 3 for sequence in range(10)]
    assert [chunk.init_segment for chunk in chunks] == [b"init"] + [b""] * 9
    assert b"".join(chunk.data for chunk in chunks) == b"init" + b"".join(b"a%db" % n for n in range(10))


def test_a_missing_chunk_is_an_error() -> None:
    assembly = Assembly(INFO)
    feed(assembly, *messages(0))
    with pytest.raises(ProtocolError, match="chunk 2 came where chunk 1 was due"):
        feed(assembly, *messages(2))


def test_nothing_of_an_older_segment_follows_a_newer_one() -> None:
    assembly = Assembly(INFO)
    feed(assembly, *messages(0, segment=1))
    with pytest.raises(ProtocolError, match="goes back to segment 0"):
        feed(assembly, *messages(1, segment=0))


def test_parts_out_of_order_are_an_error() -> None:
    header, first, second = messages(0)
    with pytest.raises(ProtocolError, match="part 1 of chunk 0 was not due"):
        feed(Assembly(INFO), header, second, first)
    with pytest.raises(ProtocolError, match="chunk 1 begins before chunk 0 is complete"):
        feed(Assembly(INFO), header, first, *messages(1))


def test_a_length_other_than_announced_is_an_error() -> None:
    header, *parts = messages(0)
    header.media_bytes += 1
    with pytest.raises(ProtocolError, match="were announced"):
        feed(Assembly(INFO), header, *parts)


def test_a_switch_comes_with_its_chunk_and_is_news_once() -> None:
    assembly = Assembly(INFO)
    applied = SwitchApplied(
        event_id="e", cursor=Cursor(segment=1, chunk=1), sequence=1, pts_s=1.0, first_frame=9, waited_s=0.1
    )
    feed(assembly, *messages(0))
    assert assembly.switch_applied(applied)
    assembly.break_off()
    assert assembly.switch_applied(applied)  # the chunk did not come through: it is told again
    (chunk,) = feed(assembly, *messages(1, segment=1, applied=("e",)))
    assert chunk.applied == (applied,)
    assert not assembly.switch_applied(applied)


def test_a_fragment_has_no_frames_of_its_own() -> None:
    (chunk,) = feed(Assembly(INFO), *messages(0))
    with pytest.raises(ValueError, match="JPEG or RAW"):
        next(chunk.frames())
