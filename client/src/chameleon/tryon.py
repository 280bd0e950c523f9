"""One try-on from start to end, measured: what `chameleon try-on` does, for programs that want the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import grpc

from chameleon.client import AsyncChameleon
from chameleon.errors import SessionEnded, SwitchRejected
from chameleon.session import AsyncSession, AsyncSwitch
from chameleon.types import (
    Chunk,
    EndReason,
    Garment,
    GarmentSource,
    MediaFormat,
    Pacing,
    PictureSource,
    Policy,
    SessionInfo,
)

DEFAULT_PROMPT = "The person turns slowly to show the outfit."
AFTER_SWITCH_S = 5.0
"""Seconds of video after the last switch, where no length is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSwitch:
    """Ask for a switch as soon as `at_s` seconds of video have been received, as a shopper would who watches it."""

    at_s: float
    garment: GarmentSource
    prompt: str = ""
    policy: Policy | None = None

    def __post_init__(self) -> None:
        if self.at_s < 0:
            raise ValueError(f"a switch cannot come {-self.at_s:g} s before the video")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchReport:
    """A switch, in seconds since it was asked for; None where it did not come to that.

    Attributes:
        asked_at_s: seconds of video received when it was asked for.
        accepted_s: until the service had accepted it.
        applied_s: until the service began to make the new segment (by its own measure, from acceptance).
        first_frame_s: until the first frames with the garment had been received.
        first_frame: number of the first of them, counted over the session from 0.
        pts_s: its presentation time.
        sequence: the chunk that brought it.
        rejected: why the switch did not take effect.
    """

    event_id: str
    garment: str
    asked_at_s: float
    accepted_s: float
    applied_s: float | None = None
    first_frame_s: float | None = None
    first_frame: int | None = None
    pts_s: float | None = None
    sequence: int | None = None
    rejected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TryOnReport:
    """A try-on, measured at the client.

    Attributes:
        time_to_first_frame_s: from the call that opens the session until its first chunk had been received.
        frames_per_second: received after the first chunk, per second; None for one chunk alone.
        realtime_factor: `frames_per_second` over the video's own rate.
        degraded: chunks that went without some of their denoising passes, so as not to be late.
        video_s: length of the video received.
        wall_s: from the call that opens the session until its last chunk had been received.
        switches: those that the service accepted, in the order they were asked for.
        switches_too_late: those not accepted: the session had ended, with the rest of its video on the way.
    """

    session: SessionInfo
    end_reason: EndReason
    frames: int
    chunks: int
    degraded: int
    media_bytes: int
    video_s: float
    wall_s: float
    time_to_first_frame_s: float
    frames_per_second: float | None
    realtime_factor: float | None
    switches: tuple[SwitchReport, ...]
    switches_too_late: int


@dataclass(slots=True)
class _Asked:
    handle: AsyncSwitch
    asked_s: float
    received_s: float
    accepted_s: float
    first_frame_s: float | None = None


@dataclass(slots=True)
class _Record:
    """What is noted while the video runs. Times are those of `time.perf_counter`."""

    began_s: float
    pending: list[PlannedSwitch]
    asked: dict[str, _Asked] = field(default_factory=dict)
    too_late: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    frames: int = 0
    first_frames: int = 0
    chunks: int = 0
    degraded: int = 0
    media_bytes: int = 0
    video_s: float = 0.0

    def chunk(self, chunk: Chunk) -> None:
        self.last_s = time.perf_counter()
        if not self.chunks:
            self.first_s, self.first_frames = self.last_s, chunk.frame_count
        self.chunks += 1
        self.degraded += chunk.degradation > 0
        self.frames += chunk.frame_count
        self.media_bytes += len(chunk.data)
        self.video_s = chunk.pts_s + chunk.duration_s
        for applied in chunk.applied:
            if applied.event_id in self.asked:
                asked = self.asked[applied.event_id]
                asked.first_frame_s = self.last_s - asked.asked_s

    async def ask_due(self, session: AsyncSession) -> None:
        while self.pending and self.pending[0].at_s <= self.video_s:
            planned = self.pending.pop(0)
            asked_s = time.perf_counter()
            try:
                handle = await session.switch(planned.garment, prompt=planned.prompt, policy=planned.policy)
            except SessionEnded:  # the rest of the video is on its way
                self.too_late += 1 + len(self.pending)
                self.pending.clear()
                return
            self.asked[handle.event_id] = _Asked(handle, asked_s, self.video_s, time.perf_counter() - asked_s)

    async def report(self, session: AsyncSession) -> TryOnReport:
        assert session.ended is not None
        if not self.chunks:
            raise SessionEnded(
                f"the session ended before its first frame: {session.ended.reason.name.lower()}",
                code=grpc.StatusCode.FAILED_PRECONDITION,
                reason="SESSION_ENDED",
                resource=session.name,
            )
        later_s, later_frames = self.last_s - self.first_s, self.frames - self.first_frames
        rate = later_frames / later_s if later_frames else None
        return TryOnReport(
            session=session.info,
            end_reason=session.ended.reason,
            frames=self.frames,
            chunks=self.chunks,
            degraded=self.degraded,
            media_bytes=self.media_bytes,
            video_s=self.video_s,
            wall_s=self.last_s - self.began_s,
            time_to_first_frame_s=self.first_s - self.began_s,
            frames_per_second=rate,
            realtime_factor=None if rate is None else rate / session.info.frames_per_second,
            switches_too_late=self.too_late,
            switches=tuple([await _switch_report(asked) for asked in self.asked.values()]),
        )


async def run(
    client: AsyncChameleon,
    *,
    person: PictureSource,
    garment: GarmentSource,
    prompt: str = DEFAULT_PROMPT,
    switches: Sequence[PlannedSwitch] = (),
    seconds: float | None = None,
    seed: int = 0,
    format: MediaFormat = MediaFormat.H264,
    jpeg_quality: int = 0,
    pacing: Pacing = Pacing.UNPACED,
    policy: Policy | None = None,
    on_chunk: Callable[[Chunk], None] = lambda _chunk: None,
) -> TryOnReport:
    """Open a session, ask for the switches in their time, receive `seconds` of video.

    The garments of the switches are uploaded before the session opens, as a shop's are; the first one and the person
    come with the session, so their encoding counts for the time to the first frame.

    Args:
        seconds: of video; None: AFTER_SWITCH_S more than the last switch.
        on_chunk: called with each chunk as it comes; it may write the chunk's `data`, and should not take long.

    Raises:
        ValueError: a switch lies beyond the end.
        SessionEnded: before its first frame; later, the report's `end_reason` says so.
        ChameleonError: the service refused, or the session was lost.
    """
    planned = sorted(switches, key=lambda switch: switch.at_s)
    last_s = planned[-1].at_s if planned else 0.0
    length_s = last_s + AFTER_SWITCH_S if seconds is None else seconds
    if planned and last_s >= length_s:
        raise ValueError(f"the switch at {last_s:g} s lies beyond the end of a video of {length_s:g} s")
    uploaded = [replace(switch, garment=await _uploaded(client, switch.garment)) for switch in planned]
    record = _Record(time.perf_counter(), uploaded)
    async with client.open_session(
        person=person,
        garment=garment,
        prompt=prompt,
        seed=seed,
        format=format,
        jpeg_quality=jpeg_quality,
        pacing=pacing,
        policy=policy,
        max_duration_s=length_s,
    ) as session:
        await record.ask_due(session)
        async for chunk in session:
            record.chunk(chunk)
            on_chunk(chunk)
            if session.ended is None and record.video_s < length_s:
                await record.ask_due(session)
    return await record.report(session)


async def _uploaded(client: AsyncChameleon, source: GarmentSource) -> Garment | str:
    if isinstance(source, Garment | str):
        return source
    return await client.create_garment(source)


async def _switch_report(asked: _Asked) -> SwitchReport:
    """Of a session that is over: every switch has settled."""
    accepted = asked.handle.accepted
    report = SwitchReport(
        event_id=accepted.event_id,
        garment=accepted.garment,
        asked_at_s=asked.received_s,
        accepted_s=asked.accepted_s,
        first_frame_s=asked.first_frame_s,
    )
    try:
        applied = await asked.handle.applied()
    except SwitchRejected as rejected:
        return replace(report, rejected=str(rejected))
    return replace(
        report,
        applied_s=asked.accepted_s + applied.waited_s,
        first_frame=applied.first_frame,
        pts_s=applied.pts_s,
        sequence=applied.sequence,
    )
