"""CustomizationService over the orchestrator: requests in, the orchestrator's answers out, and its streams."""

# ruff: noqa: N802 - the methods are named in the proto

from __future__ import annotations

import time

import grpc
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import customization_service_pb2_grpc

from service.core.events import SessionView
from service.rpc import convert, limits, tenant
from service.rpc.idempotency import Answers
from service.rpc.intake import Intake, answer_once, cursor, session_name
from service.rpc.interaction import Interaction, first_action
from service.rpc.limits import Findings
from service.rpc.paging import page, place_after
from service.rpc.status import tells_errors
from service.rpc.writer import EventWriter
from service.runtime.observer import Observer
from service.runtime.orchestrator import Orchestrator


class CustomizationServicer(customization_service_pb2_grpc.CustomizationServiceServicer):
    def __init__(self, orchestrator: Orchestrator, intake: Intake, observer: Observer) -> None:
        self._orchestrator = orchestrator
        self._intake = intake
        self._observer = observer
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
            await EventWriter(write, self._observer).pour(subscription)
        finally:
            subscription.close()

    @tells_errors
    async def Interact(self, requests: object, context: grpc.aio.ServicerContext) -> None:
        async def write(event: pb.StreamEvent) -> None:
            await context.write(pb.InteractResponse(event=event))

        owner = tenant.current.get()
        match first_action(await context.read()):
            case pb.CreateSessionRequest() as create:
                session_id, place = (await self._create(owner, create, within="create.")).id, None
            case pb.StreamVideoRequest() as attach:
                session_id, place = session_name(attach.name, field="attach.name"), cursor(attach)
        subscription = self._orchestrator.attach(owner, session_id, place)
        try:
            writer = EventWriter(write, self._observer)
            interaction = Interaction(self._orchestrator, self._intake, writer, tenant=owner, session_id=session_id)
            await interaction.run(subscription, context.read)
        finally:
            subscription.close()

    @tells_errors
    async def SwitchGarment(
        self, request: pb.SwitchGarmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.SwitchGarmentResponse:
        owner, session_id = tenant.current.get(), session_name(request.name)
        self._orchestrator.get_session(owner, session_id)  # an unknown session costs no decoding
        switch = await self._intake.switch(owner, request.switch_garment, within="switch_garment.")
        accepted = await self._orchestrator.switch_garment(owner, session_id, switch)
        return pb.SwitchGarmentResponse(accepted=convert.switch_accepted(accepted))

    @tells_errors
    async def GetCapacity(
        self, request: pb.GetCapacityRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetCapacityResponse:
        findings = Findings()
        pacing = limits.pacing(findings, request.pacing)
        findings.raise_any()
        return convert.capacity(self._orchestrator.capacity(pacing))

    async def _create(self, owner: str, request: pb.CreateSessionRequest, *, within: str = "") -> SessionView:
        """Cancelled, it opens no session: nothing is awaited once there is one."""

        async def create() -> SessionView:
            asked_s = time.monotonic()
            config, person = await self._intake.session(owner, request, within=within)
            return await self._orchestrator.create_session(config, person_rgb=person, asked_s=asked_s)

        return await answer_once(self._created, self._intake, owner, request, create)
