"""Errors as google.rpc.Status: one ErrorInfo each, and the detail that fits the code."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from service.core.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, ServiceError

DOMAIN = "fashionchameleon"

log = logging.getLogger(__name__)
S = TypeVar("S")
Q = TypeVar("Q")
R = TypeVar("R")

_MAX_MESSAGE = 1000
_ABORT_S = 1.0
# What the resource of an error is, by the first word of its reason.
_RESOURCES = {
    "SESSION": ("fashionchameleon.v1.Session", "sessions/"),
    "GARMENT": ("fashionchameleon.v1.Garment", "garments/"),
    "EVENT": ("fashionchameleon.v1.Session", "sessions/"),
}
_QUOTAS = {"TENANT_QUOTA", "GARMENT_CAPACITY"}


def to_status(error: ServiceError) -> grpc.Status:
    """The status of an error the caller is meant to see."""
    return _status(error.code, error.message[:_MAX_MESSAGE], _details(error))


def to_internal_status(incident: str) -> grpc.Status:
    """The status of a fault of ours. It says nothing but where to look in the log."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"incident": incident})
    return _status(code_pb2.INTERNAL, f"internal error, incident {incident}", [info])


def tells_errors(
    method: Callable[[S, Q, grpc.aio.ServicerContext], Awaitable[R]],
) -> Callable[[S, Q, grpc.aio.ServicerContext], Awaitable[R | None]]:
    """A servicer's method whose errors become statuses. Cancellation passes. None: grpc raises the abort itself."""

    @functools.wraps(method)
    async def call(self: S, request: Q, context: grpc.aio.ServicerContext) -> R | None:
        try:
            return await method(self, request, context)
        except ServiceError as error:
            status = to_status(error)
        except Exception:
            incident = uuid.uuid4().hex
            log.exception("incident %s in %s", incident, method.__qualname__)
            status = to_internal_status(incident)
        try:
            async with asyncio.timeout(_ABORT_S):
                await abort(context, status)
        except TimeoutError:  # its client reads nothing: the status is on its way behind what it did not read
            return None

    return call


async def abort(context: grpc.aio.ServicerContext, status: grpc.Status) -> NoReturn:
    """End the call."""
    await context.abort_with_status(status)
    raise AssertionError("abort raises")


def _details(error: ServiceError) -> Iterator[Message]:
    resource_type, resource_name = _resource(error)
    metadata = {"resource": resource_name} if resource_name else {}
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    match error:
        case InvalidArgument(violations=violations):
            yield error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=v.field, description=v.description, reason=v.reason
                    )
                    for v in violations
                ]
            )
        case NotFound():
            yield error_details_pb2.ResourceInfo(
                resource_type=resource_type, resource_name=resource_name, description=error.message
            )
        case FailedPrecondition():
            violation = error_details_pb2.PreconditionFailure.Violation(
                type=error.reason, subject=resource_name, description=error.message
            )
            yield error_details_pb2.PreconditionFailure(violations=[violation])
        case ResourceExhausted() if error.reason in _QUOTAS:
            quota = error_details_pb2.QuotaFailure.Violation(
                subject=f"tenants/{error.resource}", description=error.message
            )
            yield error_details_pb2.QuotaFailure(violations=[quota])
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(math.ceil(error.retry_after_s * 1000))
        yield retry


def _resource(error: ServiceError) -> tuple[str, str]:
    """Type and full name of the error's resource; empty if it is about none, or about a tenant."""
    known = _RESOURCES.get(error.reason.partition("_")[0])
    if not error.resource or known is None or error.reason in _QUOTAS:
        return "", ""
    resource_type, collection = known
    return resource_type, collection + error.resource


def _status(code: int, message: str, details: Iterator[Message] | list[Message]) -> grpc.Status:
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return rpc_status.to_status(status)
