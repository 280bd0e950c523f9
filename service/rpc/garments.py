"""GarmentService over the garment store."""

# ruff: noqa: N802 - the methods are named in the proto

from __future__ import annotations

import grpc
from fashionchameleon.v1 import garment_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2_grpc

from service.rpc import convert, limits, tenant
from service.rpc.idempotency import Answers
from service.rpc.intake import Intake, answer_once, garment_name
from service.rpc.limits import Findings
from service.rpc.paging import page, place_after
from service.rpc.status import tells_errors
from service.runtime.garments import GarmentStore, GarmentView


class GarmentServicer(garment_service_pb2_grpc.GarmentServiceServicer):
    def __init__(self, garments: GarmentStore, intake: Intake) -> None:
        self._garments = garments
        self._intake = intake
        self._created: Answers[GarmentView] = Answers()

    @tells_errors
    async def CreateGarment(
        self, request: pb.CreateGarmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateGarmentResponse:
        owner = tenant.current.get()

        async def create() -> GarmentView:
            return await self._garments.create(owner, await self._intake.new_garment(request))

        view = await answer_once(self._created, self._intake, owner, request, create)
        return pb.CreateGarmentResponse(garment=convert.garment(view))

    @tells_errors
    async def GetGarment(
        self, request: pb.GetGarmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetGarmentResponse:
        view = self._garments.get(tenant.current.get(), garment_name(request.name))
        return pb.GetGarmentResponse(garment=convert.garment(view))

    @tells_errors
    async def ListGarments(
        self, request: pb.ListGarmentsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListGarmentsResponse:
        findings = Findings()
        size = limits.page_size(findings, request.page_size)
        after = place_after(findings, request.page_token)
        findings.raise_any()
        shown, next_token = page(self._garments.list(tenant.current.get()), size=size, after=after)
        return pb.ListGarmentsResponse(garments=map(convert.garment, shown), next_page_token=next_token)

    @tells_errors
    async def DeleteGarment(
        self, request: pb.DeleteGarmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteGarmentResponse:
        self._garments.delete(tenant.current.get(), garment_name(request.name))
        return pb.DeleteGarmentResponse()
