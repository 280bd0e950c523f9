"""A session's chunks between the student's last pass and the frames: decoded one at a time, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from service.core.events import ChunkInfo, Cursor, SwitchApplied, Timings
from service.core.pacing import Playout
from service.core.steps import Step, StepKind


@dataclass(slots=True, kw_only=True)
class Chunk:
    """A chunk under way."""

    sequence: int
    cursor: Cursor
    began_s: float
    first_frame: int
    frame_count: int
    garment: str
    degradation: int
    restarts_decoder: bool
    applied: SwitchApplied | None
    timings: Timings = field(default_factory=Timings)
    decode_runnable_s: float = 0.0


class Decoding:
    """Chunks that are denoised, the oldest first, and the bank that holds the decoder's caches after the last one."""

    def __init__(self, *, session_id: str, block: int, playout: Playout, fps: int) -> None:
        self._session_id, self._block, self._playout, self._fps = session_id, block, playout, fps
        self._chunks: deque[Chunk] = deque()
        self._bank: int | None = None
        self._done_s = 0.0
        self.took_s = 0.0
        """How long the last chunk was decoded, its wait for the engine included."""
        self.latency_s = 0.0
        """The last chunk from its beginning until its frames were there."""

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def behind(self) -> bool:
        """A chunk waits besides the one that is decoded: another would only make switches come later."""
        return len(self._chunks) > 1

    def push(self, chunk: Chunk, now: float) -> None:
        chunk.decode_runnable_s = now
        self._chunks.append(chunk)

    def deadline_s(self) -> float:
        chunk = self._chunks[0]
        return self._playout.deadline_s(chunk.first_frame / self._fps, chunk.decode_runnable_s)

    def step(self, step_id: int) -> Step:
        """Decode the oldest; caches are read from one bank and written to the other, so a lost call loses nothing."""
        chunk = self._chunks[0]
        return Step(
            id=step_id,
            session_id=self._session_id,
            block=self._block,
            kind=StepKind.DECODE,
            deadline_s=self.deadline_s(),
            runnable_s=chunk.decode_runnable_s,
            sequence=chunk.sequence,
            segment=chunk.cursor.segment,
            chunk=chunk.cursor.chunk,
            read_bank=None if chunk.restarts_decoder else self._bank,
            write_bank=0 if self._bank is None else 1 - self._bank,
        )

    def done(self, step: Step, *, seconds: float, queued: float, now: float) -> tuple[ChunkInfo, SwitchApplied | None]:
        """What was decoded, and the switch that it shows first."""
        chunk = self._chunks.popleft()
        assert chunk.sequence == step.sequence
        self._bank = step.write_bank
        self.took_s = now - max(chunk.decode_runnable_s, self._done_s)
        self._done_s = now
        self.latency_s = now - chunk.began_s
        info = ChunkInfo(
            sequence=chunk.sequence,
            cursor=chunk.cursor,
            pts_s=chunk.first_frame / self._fps,
            duration_s=chunk.frame_count / self._fps,
            first_frame=chunk.first_frame,
            frame_count=chunk.frame_count,
            garment=chunk.garment,
            applied_event_ids=(chunk.applied.event_id,) if chunk.applied else (),
            timings=replace(chunk.timings, decode=seconds, queue=chunk.timings.queue + queued),
            degradation=chunk.degradation,
        )
        return info, chunk.applied
