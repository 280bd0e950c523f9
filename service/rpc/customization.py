"""CustomizationService over the orchestrator: requests in, the orchestrator's answers out, and its streams."""

# ruff: noqa: N802 - the methods are named in the proto

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import grpc
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import customization_service_pb2_grpc

from service.core.errors import DeadlineExceeded
from service.core.events import SessionView
from service.rpc import convert, limits, tenant
from service.rpc.idempotency import Answers
from service.rpc.intake import Intake, answer_once, cursor, session_name
from service.rpc.interaction import Interaction, first_action
from service.rpc.limits import Findings
from service.rpc.paging import page, place_after
from service.rpc.status import tells_errors
from service.rpc.writer import EventWriter, Write
from service.runtime.observer import Observer
from service.runtime.orchestrator import Orchestrator


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a stream may keep its place while its client does nothing.

    Attributes:
        first_message_s: for the first message of an Interact stream to be whole.
        unread_s: for one event to be taken.
    """

    first_message_s: float
    unread_s: float


class CustomizationServicer(customization_service_pb2_grpc.CustomizationServiceServicer):
    def __init__(self, orchestrator: Orchestrator, intake: Intake, observer: Observer, patience: Patience) -> None:
        self._orchestrator = orchestrator
        self._intake = intake
        self._observer = observer
        self._patience = patience
        self._created: Answers[SessionView] = Answers()

    @tells_errors
    async def CreateSession(
        self, request: pb.CreateSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateSessionResponse:
        view = await self._create(tenant.current.get(), request)
        return pb.CreateSessionResponse(session=convert.session(view))

    @tells_errors
    async def GetSession(
        self, request: pb.GetSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetSessionResponse:
        view = self._orchestrator.get_session(tenant.current.get(), session_name(request.name))
        return pb.GetSessionResponse(session=convert.session(view))

    @tells_errors
    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListSessionsResponse:
        findings = Findings()
        size = limits.page_size(findings, request.page_size)
        after = place_after(findings, request.page_token)
        findings.raise_any()
        shown, next_token = page(self._orchestrator.list_sessions(tenant.current.get()), size=size, after=after)
        return pb.ListSessionsResponse(sessions=map(convert.session, shown), next_page_token=next_token)

    @tells_errors
    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteSessionResponse:
        await self._orchestrator.end_session(tenant.current.get(), session_name(request.name))
        return pb.DeleteSessionResponse()

    @tells_errors
    async def StreamVideo(self, request: pb.StreamVideoRequest, context: grpc.aio.ServicerContext) -> None:
        async def write(event: pb.StreamEvent) -> None:
            await context.write(pb.StreamVideoResponse(event=event))

        session_id = session_name(request.name)
        subscription = self._orchestrator.attach(tenant.current.get(), session_id, cursor(request))
        try:
            await self._writer(write).pour(subscription)
        finally:
            subscription.close()

    @tells_errors
    async def Interact(self, requests: object, context: grpc.aio.ServicerContext) -> None:
        async def write(event: pb.StreamEvent) -> None:
            await context.write(pb.InteractResponse(event=event))

        owner = tenant.current.get()
        match await self._first_action(context):
            case pb.CreateSessionRequest() as create:
                session_id, place = (await self._create(owner, create, within="create.")).id, None
            case pb.StreamVideoRequest() as attach:
                session_id, place = session_name(attach.name, field="attach.name"), cursor(attach)
        subscription = self._orchestrator.attach(owner, session_id, place)
        try:
            interaction = Interaction(
                self._orchestrator, self._intake, self._writer(write), tenant=owner, session_id=session_id
            )
            await interaction.run(subscription, context.read)
        finally:
            subscription.close()

    @tells_errors
    async def SwitchGarment(
        self, request: pb.SwitchGarmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.SwitchGarmentResponse:
        owner, session_id = tenant.current.get(), session_name(request.name)
        self._orchestrator.get_session(owner, session_id)  # an unknown session costs no decoding
        switch, garment = await self._intake.switch(request.switch_garment, within="switch_garment.")
        accepted = await self._orchestrator.switch_garment(owner, session_id, switch, garment)
        return pb.SwitchGarmentResponse(accepted=convert.switch_accepted(accepted))

    @tells_errors
    async def GetCapacity(
        self, request: pb.GetCapacityRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetCapacityResponse:
        findings = Findings()
        pacing = limits.pacing(findings, request.pacing)
        findings.raise_any()
        return convert.capacity(self._orchestrator.capacity(pacing))

    async def _first_action(self, context: grpc.aio.ServicerContext) -> pb.CreateSessionRequest | pb.StreamVideoRequest:
        limit_s = self._patience.first_message_s
        try:
            async with asyncio.timeout(limit_s):
                request = await context.read()
        except TimeoutError:
            message = f"the stream's first message did not come within {limit_s:g} s"
            raise DeadlineExceeded("FIRST_ACTION_TIMEOUT", message) from None
        return first_action(request)

    def _writer(self, write: Write) -> EventWriter:
        return EventWriter(write, self._observer, unread_limit_s=self._patience.unread_s)

    async def _create(self, owner: str, request: pb.CreateSessionRequest, *, within: str = "") -> SessionView:
        """Cancelled, it opens no session: nothing is awaited once there is one."""

        async def create() -> SessionView:
            asked_s = time.monotonic()
            new = await self._intake.session(owner, request, within=within)
            return await self._orchestrator.create_session(
                new.config, person_rgb=new.person, garment=new.garment, asked_s=asked_s
            )

        return await answer_once(self._created, self._intake, owner, request, create)
