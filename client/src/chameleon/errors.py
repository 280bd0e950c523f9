"""What can go wrong, as the service tells it.

ChameleonError             code, reason, message, violations, retry_after_s, resource, metadata
├── InvalidArgument        `violations` name the fields and their limits
├── NotFound               ├── SessionNotFound   └── GarmentNotFound
├── AlreadyExists          an id used before with other content
├── FailedPrecondition     └── SessionEnded
├── OutOfRange             a cursor the service no longer holds
├── ResourceExhausted      ├── CapacityReached   └── QuotaReached
├── Aborted                ├── SessionLost   ├── StreamTakenOver   └── SwitchRejected
├── Unavailable            draining, engine down, no connection
├── DeadlineExceeded       the call took longer than its `timeout_s`
├── Unauthenticated / PermissionDenied
└── ProtocolError          the service said something that its protocol does not allow
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

T = TypeVar("T", bound=Any)

_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One faulty field of a request: its path, and what is wrong with it and the limit."""

    field: str
    description: str
    reason: str


class ChameleonError(Exception):
    """An error of the service, or on the way to it.

    Attributes:
        code: the gRPC status code.
        reason: UPPER_SNAKE and stable, for programs; empty if the service gave none.
        message: for people.
        violations: for INVALID_ARGUMENT, field by field.
        retry_after_s: when the service says a retry may succeed.
        resource: the resource concerned, e.g. `sessions/...`; may be empty.
        metadata: what else the service's ErrorInfo carries.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        reason: str = "",
        violations: tuple[Violation, ...] = (),
        retry_after_s: float | None = None,
        resource: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.violations = violations
        self.retry_after_s = retry_after_s
        self.resource = resource
        self.metadata = dict(metadata or {})

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


class InvalidArgument(ChameleonError):
    pass


class NotFound(ChameleonError):
    pass


class SessionNotFound(NotFound):
    pass


class GarmentNotFound(NotFound):
    pass


class AlreadyExists(ChameleonError):
    pass


class FailedPrecondition(ChameleonError):
    pass


class SessionEnded(FailedPrecondition):
    pass


class OutOfRange(ChameleonError):
    pass


class ResourceExhausted(ChameleonError):
    pass


class CapacityReached(ResourceExhausted):
    """No place for another session now; `retry_after_s` says when to ask again."""


class QuotaReached(ResourceExhausted):
    """The caller has as many sessions as it may."""


class Aborted(ChameleonError):
    pass


class SessionLost(Aborted):
    """The engine lost the session's state; open another."""


class StreamTakenOver(Aborted):
    """Another stream attached to the session."""


class SwitchRejected(Aborted):
    """A switch will not take effect; the video goes on as it was. SWITCH_SUPERSEDED: a later one won its boundary."""


class Unavailable(ChameleonError):
    pass


class DeadlineExceeded(ChameleonError):
    pass


class Unauthenticated(ChameleonError):
    pass


class PermissionDenied(ChameleonError):
    pass


class ProtocolError(ChameleonError):
    def __init__(self, message: str) -> None:
        super().__init__(message, code=grpc.StatusCode.INTERNAL, reason="PROTOCOL_ERROR")


_BY_REASON: Mapping[str, type[ChameleonError]] = {
    "SESSION_NOT_FOUND": SessionNotFound,
    "GARMENT_NOT_FOUND": GarmentNotFound,
    "SESSION_ENDED": SessionEnded,
    "SESSION_CAPACITY": CapacityReached,
    "TENANT_QUOTA": QuotaReached,
    "SESSION_LOST": SessionLost,
    "STREAM_TAKEN_OVER": StreamTakenOver,
}
_BY_CODE: Mapping[grpc.StatusCode, type[ChameleonError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def from_rpc_error(error: grpc.aio.AioRpcError) -> ChameleonError:
    """The error that a failed call means; the details come from its trailing `grpc-status-details-bin`."""
    code, reason, violations, retry_after_s, resource = error.code(), "", [], None, ""
    metadata: dict[str, str] = {}
    for detail in _details(error.trailing_metadata() or ()):
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = _unpack(detail, error_details_pb2.ErrorInfo())
            reason, metadata = info.reason, dict(info.metadata)
            resource = resource or metadata.get("resource", "")
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            request = _unpack(detail, error_details_pb2.BadRequest())
            violations = [
                Violation(field=v.field, description=v.description, reason=v.reason) for v in request.field_violations
            ]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry_after_s = _unpack(detail, error_details_pb2.RetryInfo()).retry_delay.ToNanoseconds() / 1e9
        elif detail.Is(error_details_pb2.ResourceInfo.DESCRIPTOR):
            resource = _unpack(detail, error_details_pb2.ResourceInfo()).resource_name
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code, ChameleonError)
    return kind(
        error.details() or code.value[1],
        code=code,
        reason=reason,
        violations=tuple(violations),
        retry_after_s=retry_after_s,
        resource=resource,
        metadata=metadata,
    )


def switch_rejected(*, code: int, reason: str, message: str, event_id: str) -> SwitchRejected:
    """The error of a switch refused on the stream."""
    known = _CODES.get(code, grpc.StatusCode.UNKNOWN)
    return SwitchRejected(message, code=known, reason=reason, metadata={"event_id": event_id})


def _details(trailing: Iterable[tuple[str, str | bytes]]) -> Iterable[AnyMessage]:
    """The details of the status; none if it has none, or is not one (a proxy's, say)."""
    for key, value in trailing:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:
                return ()
            return tuple(status.details)
    return ()


def _unpack(detail: AnyMessage, message: T) -> T:
    detail.Unpack(message)
    return message
