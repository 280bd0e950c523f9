"""One Interact call: actions go out without waiting, events come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from fashionchameleon.v1 import customization_service_pb2 as pb

from chameleon.affinity import Affinity
from chameleon.errors import Unavailable, from_rpc_error
from chameleon.transport import Transport

_FAREWELL_S = 5.0
_MASKED_STATUS = "Internal error from Core"
"""grpc.aio's word for a write that met the end of the call; it hides the true status, which a new attempt brings to
light."""


class Connection:
    """Attaches at once. The first credit goes with it: from then on the service sends no more than is granted."""

    def __init__(self, transport: Transport, affinity: Affinity, attach: pb.StreamVideoRequest) -> None:
        self._loop = asyncio.get_running_loop()
        self._actions: asyncio.Queue[pb.InteractRequest | None] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()
        self.send(pb.InteractRequest(attach=attach))
        self.grant(1)
        metadata = transport.metadata + affinity.metadata
        self._call = transport.customization.Interact(self._requests(), metadata=metadata or None)
        # Not `call.read()`: that gives up what has come once a write has met the end of the call (grpc/grpc#36066).
        self._responses: AsyncIterator[pb.InteractResponse] = aiter(self._call)

    def send(self, action: pb.InteractRequest) -> None:
        self._actions.put_nowait(action)

    def grant(self, chunks: int) -> None:
        """That many chunks more."""
        self.send(pb.InteractRequest(credits=pb.PlayoutCredits(chunks=chunks)))

    def grant_at(self, when_s: float) -> None:
        """One chunk more, at a time of the event loop's clock."""
        if when_s <= self._loop.time():
            self.grant(1)
            return

        def due() -> None:
            self._timers.discard(timer)
            self.grant(1)

        timer = self._loop.call_at(when_s, due)
        self._timers.add(timer)

    async def read(self) -> pb.StreamEvent:
        """The next event.

        Raises:
            ChameleonError: the call failed; Unavailable also if it was cut off without a word.
        """
        try:
            response = await anext(self._responses)
        except StopAsyncIteration:
            raise _cut_off() from None
        except grpc.aio.AioRpcError as error:
            if error.details() == _MASKED_STATUS:
                raise _cut_off() from None
            raise from_rpc_error(error) from None
        return response.event

    async def finish(self) -> None:
        """The session is over: let the service close the call."""
        self._end_requests()
        try:
            await asyncio.wait_for(self._call.code(), _FAREWELL_S)
        except asyncio.TimeoutError:
            self._call.cancel()

    def drop(self) -> None:
        """Cut the call off."""
        self._end_requests()
        self._call.cancel()

    def _end_requests(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._actions.put_nowait(None)

    async def _requests(self) -> AsyncIterator[pb.InteractRequest]:
        while (action := await self._actions.get()) is not None:
            yield action


def _cut_off() -> Unavailable:
    return Unavailable("the stream was cut off", code=grpc.StatusCode.UNAVAILABLE, reason="STREAM_CUT")
