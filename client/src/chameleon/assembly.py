"""A stream's events put together to chunks: a pure machine.

It hands out each chunk of the session once and in order, whatever the streams repeat: nothing twice, nothing of a
segment behind the first chunk of a later one, and no gap without an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import media_pb2

from chameleon import convert
from chameleon.errors import ProtocolError
from chameleon.types import Chunk, Cursor, SessionInfo, SwitchApplied


@dataclass(slots=True)
class _Open:
    """A chunk of which parts are missing."""

    header: media_pb2.ChunkHeader
    wanted: bool
    parts: int = 0
    init_segment: bytearray = field(default_factory=bytearray)
    media: bytearray = field(default_factory=bytearray)


class Assembly:
    """Feed it headers, parts and switches as they come; `info` must be set before the first header."""

    def __init__(self, info: SessionInfo) -> None:
        self.info = info
        self.last: Cursor | None = None
        """Where the newest chunk handed out stands."""
        self._next: int | None = None
        self._open: _Open | None = None
        self._applied: dict[str, SwitchApplied] = {}
        self._init_given = False

    def switch_applied(self, event: SwitchApplied) -> bool:
        """The switch belongs to the chunk that follows. False if it was told before."""
        if self._next is not None and event.sequence < self._next:
            return False
        self._applied[event.event_id] = event
        return True

    def header(self, header: media_pb2.ChunkHeader) -> Chunk | None:
        """A chunk begins; it is returned at once if it has no parts.

        Raises:
            ProtocolError: a chunk is missing, or the one before is not complete, or an older segment comes back.
        """
        if self._open is not None:
            raise ProtocolError(f"chunk {header.sequence} begins before chunk {self._open.header.sequence} is complete")
        if self._next is not None and header.sequence > self._next:
            raise ProtocolError(f"chunk {header.sequence} came where chunk {self._next} was due")
        wanted = self._next is None or header.sequence == self._next
        if wanted and self.last is not None and convert.cursor(header.cursor) <= self.last:
            raise ProtocolError(f"chunk {header.sequence} goes back to segment {header.cursor.segment}")
        self._open = _Open(header, wanted)
        return self._complete()

    def part(self, part: media_pb2.MediaPart) -> Chunk | None:
        """A piece of the chunk; the chunk, once it is whole and was not handed out before.

        Raises:
            ProtocolError: the part is not the one due.
        """
        chunk = self._open
        if chunk is None or part.sequence != chunk.header.sequence or part.index != chunk.parts:
            raise ProtocolError(f"part {part.index} of chunk {part.sequence} was not due")
        chunk.parts += 1
        if chunk.wanted:
            (chunk.init_segment if part.init_segment else chunk.media).extend(part.data)
        return self._complete()

    def break_off(self) -> None:
        """The stream was cut: what is not complete comes again."""
        self._open = None

    def _complete(self) -> Chunk | None:
        chunk = self._open
        assert chunk is not None
        header = chunk.header
        if chunk.parts < header.part_count:
            return None
        self._open = None
        if not chunk.wanted:
            return None
        if len(chunk.media) != header.media_bytes:
            raise ProtocolError(
                f"chunk {header.sequence} has {len(chunk.media)} bytes of media, {header.media_bytes} were announced"
            )
        init_segment = b"" if self._init_given else bytes(chunk.init_segment)
        self._init_given = self._init_given or bool(init_segment)
        self._next = header.sequence + 1
        self.last = convert.cursor(header.cursor)
        return self._chunk(header, init_segment, bytes(chunk.media))

    def _chunk(self, header: media_pb2.ChunkHeader, init_segment: bytes, media: bytes) -> Chunk:
        told = (self._applied.pop(event_id, None) for event_id in header.applied_event_ids)
        assert self.last is not None
        return Chunk(
            sequence=header.sequence,
            cursor=self.last,
            pts_s=convert.seconds(header.pts),
            duration_s=convert.seconds(header.duration),
            first_frame=header.first_frame,
            frame_count=header.frame_count,
            garment=header.garment,
            applied=tuple(event for event in told if event is not None),
            timings=convert.timings(header.timings),
            degradation=header.degradation,
            format=self.info.format,
            width=self.info.width,
            height=self.info.height,
            frame_bytes=tuple(header.frame_bytes),
            init_segment=init_segment,
            media=media,
        )


def attach_request(name: str, last: Cursor | None) -> pb.StreamVideoRequest:
    """Asks for the chunks from `last` on, which is repeated: whether the next one stands in its segment or begins
    another is not known here. None: from the oldest the server holds."""
    cursor = None if last is None else media_pb2.Cursor(segment=last.segment, chunk=last.chunk)
    return pb.StreamVideoRequest(name=name, cursor=cursor)
