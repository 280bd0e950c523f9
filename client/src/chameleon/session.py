"""A session's video as an asynchronous iterator, and what can be done to it meanwhile."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from types import TracebackType

import grpc
from fashionchameleon.v1 import customization_service_pb2 as pb

from chameleon import convert
from chameleon.affinity import Affinity
from chameleon.assembly import Assembly, attach_request
from chameleon.connection import Connection
from chameleon.errors import ChameleonError, NotFound, SessionLost, StreamTakenOver, SwitchRejected, switch_rejected
from chameleon.playout import Credits, PlayoutClock
from chameleon.retry import Backoff
from chameleon.transport import Transport
from chameleon.types import (
    Chunk,
    Ended,
    EndReason,
    Frame,
    GarmentSource,
    MediaFormat,
    Policy,
    SessionInfo,
    SwitchAccepted,
    SwitchApplied,
)

log = logging.getLogger(__name__)

_END_TIMEOUT_S = 5.0


class AsyncSwitch:
    """A garment switch under way. It settles as the session's chunks are read."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id
        self._accepted: SwitchAccepted | None = None
        self._outcome: SwitchApplied | SwitchRejected | None = None
        self._settled = asyncio.Event()

    @property
    def accepted(self) -> SwitchAccepted:
        """What the service said when it took the switch."""
        assert self._accepted is not None, "AsyncSession.switch returns accepted switches only"
        return self._accepted

    @property
    def settled(self) -> bool:
        """True once it is known whether the switch takes effect."""
        return self._settled.is_set()

    async def applied(self) -> SwitchApplied:
        """Wait until the switch takes effect. Not in the task that iterates over the session: only that moves it on.

        Raises:
            SwitchRejected: it will not; the video goes on as it was.
        """
        await self._settled.wait()
        if isinstance(self._outcome, SwitchApplied):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def accept(self, accepted: SwitchAccepted) -> None:
        self._accepted = accepted

    def settle(self, outcome: SwitchApplied | SwitchRejected) -> None:
        if not self._settled.is_set():
            self._outcome = outcome
            self._settled.set()


class AsyncSession:
    """Iterate over it for chunks, from one task; `async with` attaches, and ends the session if it opened it.

    A stream that breaks is opened again and goes on with the chunk due next. Credits go back as chunks are taken: at
    most three chunks are ever under way, so a slow reader slows the session down and never sees stale video.
    """

    def __init__(self, transport: Transport, info: SessionInfo, affinity: Affinity, *, ends_on_exit: bool) -> None:
        self.info = info
        """As told when the newest stream began; for how it stands now ask `AsyncChameleon.get_session`."""
        self._affinity = affinity
        self.ended: Ended | None = None
        """Set once the iteration is over."""
        self.draining_s: float | None = None
        """Set once the service shuts down: how long the session may still run."""
        self._transport = transport
        self._ends_on_exit = ends_on_exit
        self._assembly = Assembly(info)
        self._clock = PlayoutClock(pacing=info.pacing)
        self._credits = Credits(made_s=0.0)
        self._received_s = 0.0
        self._backoff = Backoff(transport.retry)
        self._connection: Connection | None = None
        self._switches: dict[str, AsyncSwitch] = {}
        """All that were accepted, settled ones too: the same event id again is the same switch."""
        self._paused: bool | None = None
        """What was asked last, to be asked again of a new stream."""

    @property
    def name(self) -> str:
        """`sessions/{session}`."""
        return self.info.name

    @property
    def affinity(self) -> str | None:
        """Which server behind a gateway has it, for others who attach; None without a gateway."""
        return self._affinity.value

    async def __aenter__(self) -> AsyncSession:
        self._attached()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()
        try:
            if self._ends_on_exit and self.ended is None:
                await self._end()
        finally:
            self._settle_all()

    def __aiter__(self) -> AsyncSession:
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk, whole.

        Raises:
            SessionLost: the engine lost the session.
            StreamTakenOver: another reader attached to it; leaving the block does not end it any more.
            ChameleonError: the stream broke and could not be opened again.
            ProtocolError: the service left a chunk out, or mixed them up.
        """
        while self.ended is None:
            chunk = await self._hear(await self._next_event())
            if chunk is not None:
                self._taken(chunk)
                return chunk
        raise StopAsyncIteration

    async def frames(self) -> AsyncIterator[Frame]:
        """The video frame by frame, for MediaFormat.JPEG and RAW.

        Raises:
            ValueError: the session sends H264.
        """
        if self.info.format is MediaFormat.H264:
            raise ValueError("frames come with MediaFormat.JPEG or RAW; this session sends H264: see fragments()")
        async for chunk in self:
            for frame in chunk.frames():
                yield frame

    async def fragments(self) -> AsyncIterator[bytes]:
        """The media as bytes: for H264 the init segment, then one fragment a chunk, together a playable file."""
        async for chunk in self:
            if chunk.init_segment:
                yield chunk.init_segment
            yield chunk.media

    async def switch(
        self,
        garment: GarmentSource,
        *,
        prompt: str = "",
        policy: Policy | None = None,
        not_before_s: float | None = None,
        event_id: str | None = None,
        timeout_s: float | None = None,
    ) -> AsyncSwitch:
        """Put on another garment; returns once the service has accepted.

        Args:
            garment: behind a gateway, one known by name must be on the session's server; a picture need not.
            prompt: empty: the prompt stays.
            not_before_s: presentation time; None: the next chunk boundary.
            event_id: the caller's id, 1 to 64 characters; None: a UUID. The same id again is the same switch.

        Raises:
            InvalidArgument, GarmentNotFound, SessionEnded, ...: see `errors`.
        """
        request = pb.GarmentSwitch(
            event_id=event_id or str(uuid.uuid4()),
            garment=await convert.garment_source(garment, "switch_garment.garment"),
            prompt=prompt,
            policy=pb.ReschedulingPolicy.Name(policy or 0),
            not_before=None if not_before_s is None else convert.duration(not_before_s),
        )
        known = self._switches.get(request.event_id)
        switch = known or AsyncSwitch(request.event_id)
        self._switches[request.event_id] = switch  # its events may come before the answer
        try:
            response: pb.SwitchGarmentResponse = await self._transport.call(
                self._transport.customization.SwitchGarment,
                pb.SwitchGarmentRequest(name=self.name, switch_garment=request),
                affinity=self._affinity,
                timeout_s=timeout_s,
            )
        except BaseException:
            if known is None:
                self._switches.pop(request.event_id, None)
            raise
        switch.accept(convert.switch_accepted(response.accepted))
        return switch

    def pause(self) -> None:
        """Stop generating; chunks under way still come."""
        self._set_paused(True)

    def resume(self) -> None:
        """Go on."""
        self._set_paused(False)

    async def stop(self) -> None:
        """End the session; the iteration ends with what the service still sends."""
        await self._transport.call(
            self._transport.customization.DeleteSession,
            pb.DeleteSessionRequest(name=self.name),
            affinity=self._affinity,
            gone_is_done=True,
        )

    def _set_paused(self, paused: bool) -> None:
        if self._connection is not None:
            self._connection.send(_pause_action(paused))
        self._paused = paused

    def _attached(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(
                self._transport, self._affinity, attach_request(self.name, self._assembly.last)
            )
            if self._paused is not None:
                self._connection.send(_pause_action(self._paused))
        return self._connection

    def _drop(self) -> None:
        self._assembly.break_off()
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    async def _next_event(self) -> pb.StreamEvent:
        while True:
            try:
                return await self._attached().read()
            except ChameleonError as error:
                self._drop()
                if isinstance(error, StreamTakenOver):
                    self._ends_on_exit = False  # it is the other reader's now
                delay_s = self._backoff.delay_s(error)
                if delay_s is None:
                    raise
                log.info("the stream of %s broke (%s); opening it again in %.2f s", self.name, error, delay_s)
            except BaseException:
                self._drop()  # a cancelled read cancels its call
                raise
            await asyncio.sleep(delay_s)

    async def _hear(self, event: pb.StreamEvent) -> Chunk | None:
        match event.WhichOneof("event"):
            case "started":
                self._started(convert.session_info(event.started.session, self.affinity))
            case "chunk_header":
                return self._assembly.header(event.chunk_header)
            case "media_part":
                return self._assembly.part(event.media_part)
            case "switch_applied":
                self._switch_applied(convert.switch_applied(event.switch_applied))
            case "switch_rejected":
                self._switch_rejected(event.switch_rejected)
            case "draining":
                self.draining_s = convert.seconds(event.draining.grace)
            case "ended":
                await self._over(convert.ended(event.ended))
            case "switch_accepted":
                pass  # SwitchGarment's answer said so
            case unknown:
                log.debug("ignored an event of a later version: %s", unknown)
        return None

    def _started(self, info: SessionInfo) -> None:
        self.info = self._assembly.info = info
        self._credits = Credits(made_s=info.generated_s)
        self._grant_rest()

    def _taken(self, chunk: Chunk) -> None:
        self._backoff.succeeded()
        self._received_s = chunk.pts_s + chunk.duration_s
        now = asyncio.get_running_loop().time()
        back_s = self._clock.taken(pts_s=chunk.pts_s, duration_s=chunk.duration_s, now=now)
        if self._credits.used_by(pts_s=chunk.pts_s):
            self._attached().grant_at(back_s)
        self._grant_rest()

    def _grant_rest(self) -> None:
        if chunks := self._credits.caught_up(self._received_s):
            self._attached().grant(chunks)

    def _switch_applied(self, applied: SwitchApplied) -> None:
        if self._assembly.switch_applied(applied) and applied.event_id in self._switches:
            self._switches[applied.event_id].settle(applied)

    def _switch_rejected(self, event: pb.SwitchRejected) -> None:
        if event.event_id in self._switches:
            rejected = switch_rejected(
                code=event.code, reason=event.reason, message=event.message, event_id=event.event_id
            )
            self._switches[event.event_id].settle(rejected)

    async def _over(self, ended: Ended) -> None:
        self.ended = ended
        self._settle_all()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.finish()
        if ended.reason is EndReason.LOST:
            raise SessionLost(ended.message, code=grpc.StatusCode.ABORTED, reason="SESSION_LOST", resource=self.name)

    def _settle_all(self) -> None:
        """Nothing will be heard of these switches any more."""
        while self._switches:
            event_id, switch = self._switches.popitem()
            rejected = switch_rejected(
                code=grpc.StatusCode.ABORTED.value[0],
                reason="SESSION_ENDED",
                message="the session ended, or was left, before the switch took effect",
                event_id=event_id,
            )
            switch.settle(rejected)

    async def _end(self) -> None:
        """The session's place is freed in any case: by this, or by the service once the stream is gone."""
        try:
            await self._transport.call(
                self._transport.customization.DeleteSession,
                pb.DeleteSessionRequest(name=self.name),
                affinity=self._affinity,
                timeout_s=_END_TIMEOUT_S,
            )
        except NotFound:
            pass  # ended long ago
        except ChameleonError as error:
            log.warning("%s could not be ended (%s); the service ends it after its detach grace", self.name, error)


def _pause_action(paused: bool) -> pb.InteractRequest:
    return pb.InteractRequest(pause=pb.Pause()) if paused else pb.InteractRequest(resume=pb.Resume())
