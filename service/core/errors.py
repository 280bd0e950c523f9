"""What can go wrong, and what the caller is told.

ServiceError
├── InvalidArgument        a field of the request; names the field and the limit
├── NotFound               a session or garment
├── AlreadyExists          an id used before with other content
├── FailedPrecondition     the resource is in the wrong state
├── OutOfRange             a cursor that the service no longer holds
├── ResourceExhausted      no place, quota
├── Unavailable            draining, engine down: try again
├── Aborted                the session's state is lost, or another stream took over
├── DeadlineExceeded       the caller kept the service waiting
└── Unauthenticated
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Code(IntEnum):
    """google.rpc.Code, as far as the service uses it."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One faulty field: its path in the request, what is wrong and the limit, and a reason in UPPER_SNAKE."""

    field: str
    description: str
    reason: str


class ServiceError(Exception):
    """An error the caller is meant to see.

    Attributes:
        code: google.rpc.Code.
        reason: UPPER_SNAKE, stable, for machines.
        resource: the resource it is about, if any.
        retry_after_s: when a retry may succeed, if it may.
    """

    code: Code

    def __init__(self, reason: str, message: str, *, resource: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.resource = resource
        self.retry_after_s = retry_after_s


class InvalidArgument(ServiceError):
    code = Code.INVALID_ARGUMENT

    def __init__(self, *violations: Violation) -> None:
        assert violations
        super().__init__(violations[0].reason, "; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = violations


class NotFound(ServiceError):
    code = Code.NOT_FOUND


class AlreadyExists(ServiceError):
    code = Code.ALREADY_EXISTS


class FailedPrecondition(ServiceError):
    code = Code.FAILED_PRECONDITION


class OutOfRange(ServiceError):
    code = Code.OUT_OF_RANGE


class ResourceExhausted(ServiceError):
    code = Code.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    code = Code.UNAVAILABLE


class Aborted(ServiceError):
    code = Code.ABORTED


class DeadlineExceeded(ServiceError):
    code = Code.DEADLINE_EXCEEDED


class Unauthenticated(ServiceError):
    code = Code.UNAUTHENTICATED
