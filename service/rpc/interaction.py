"""The life of one Interact stream: what the client asks on it, beside what it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from fashionchameleon.v1 import customization_service_pb2 as pb

from service.core.errors import FailedPrecondition, InvalidArgument, ServiceError, Violation
from service.core.events import SwitchRejected
from service.rpc import limits
from service.rpc.intake import Intake
from service.rpc.limits import Findings
from service.rpc.writer import EventWriter
from service.runtime.orchestrator import Orchestrator
from service.runtime.stream import Subscription

log = logging.getLogger(__name__)

Read = Callable[[], Awaitable[Any]]
"""The next InteractRequest, or grpc.aio.EOF once the client has closed its half."""
_FAREWELL_S = 1.0
"""For the client to close its half behind the session's end."""


def first_action(request: Any) -> pb.CreateSessionRequest | pb.StreamVideoRequest:
    """What a stream begins with.

    Raises:
        InvalidArgument: FIRST_ACTION_INVALID.
    """
    if isinstance(request, pb.InteractRequest):
        if request.HasField("create"):
            return request.create
        if request.HasField("attach"):
            return request.attach
    raise _misuse("the first message must be `create` or `attach`", "FIRST_ACTION_INVALID")


class Interaction:
    """Obeys the client and writes the session's events, side by side.

    One message is obeyed before the next is read, so a client that floods the stream is held back by flow control.
    """

    def __init__(
        self, orchestrator: Orchestrator, intake: Intake, writer: EventWriter, *, tenant: str, session_id: str
    ) -> None:
        self._orchestrator = orchestrator
        self._intake = intake
        self._writer = writer
        self._tenant = tenant
        self._session_id = session_id
        self._over = False

    async def run(self, subscription: Subscription, read: Read) -> None:
        """Returns when the events are over; a client that closes its half goes on receiving.

        A call that ends before the client has closed its half is reset by proxies, and its last messages may be lost
        with it: so the end waits for that, a little.

        Raises:
            InvalidArgument: the client sent what the protocol does not allow.
            Aborted: see `EventWriter.pour`.
        """
        await self._writer.tell(await anext(subscription))  # Started comes first, even before a refusal
        writing = asyncio.create_task(self._writer.pour(subscription), name=f"write {self._session_id}")
        reading = asyncio.create_task(self._obey_all(read), name=f"read {self._session_id}")
        try:
            await asyncio.wait((writing, reading), return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                reading.result()
            await writing
            self._over = True
            await asyncio.wait((reading,), timeout=_FAREWELL_S)
        finally:
            writing.cancel()
            reading.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)

    async def _obey_all(self, read: Read) -> None:
        while (request := await read()) is not grpc.aio.EOF:
            if not self._over:
                await self._obey(request)

    async def _obey(self, request: pb.InteractRequest) -> None:
        orchestrator, tenant, session_id = self._orchestrator, self._tenant, self._session_id
        match request.WhichOneof("action"):
            case "switch_garment":
                await self._switch(request.switch_garment)
            case "credits":
                findings = Findings("credits.")
                chunks = limits.credits(findings, request.credits.chunks)
                findings.raise_any()
                self._if_possible(lambda: orchestrator.grant(tenant, session_id, chunks))
            case "pause":
                self._if_possible(lambda: orchestrator.pause(tenant, session_id))
            case "resume":
                self._if_possible(lambda: orchestrator.resume(tenant, session_id))
            case "stop":
                await orchestrator.end_session(tenant, session_id)
            case None:
                raise _misuse("one action must be set", "ACTION_REQUIRED")
            case action:
                raise _misuse(f"`{action}` may only be the first message", "ACTION_NOT_FIRST")

    async def _switch(self, request: pb.GarmentSwitch) -> None:
        """A switch that is refused is told so, and the stream goes on."""
        try:
            switch, garment = await self._intake.switch(request, within="switch_garment.")
            await self._orchestrator.switch_garment(self._tenant, self._session_id, switch, garment)
        except ServiceError as error:
            rejected = SwitchRejected(
                event_id=request.event_id[: limits.MAX_EVENT_ID_CHARACTERS],
                code=error.code,
                reason=error.reason,
                message=error.message,
            )
            await self._writer.tell(rejected)

    def _if_possible(self, act: Callable[[], None]) -> None:
        """The session may end, drain or still be opening while the message travels: then it has no effect."""
        try:
            act()
        except FailedPrecondition as error:
            log.debug("without effect: %s", error.message)


def _misuse(description: str, reason: str) -> InvalidArgument:
    return InvalidArgument(Violation(field="action", description=description, reason=reason))
