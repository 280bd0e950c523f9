"""Around every call but health checks: metrics, whose call it is, how many run at once, whose trace. None looks at what
is said."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import grpc

from service.core.errors import ResourceExhausted, Unauthenticated
from service.rpc import tenant
from service.rpc.status import abort, to_status
from service.runtime.tracer import caller

log = logging.getLogger(__name__)

_EXEMPT = "/grpc.health.v1."
_RETRY_S = 1.0
_BEARER = "bearer "
_TRACE_HEADERS = ("traceparent", "tracestate")


class RpcObserver(Protocol):
    def rpc(self, method: str, code: str, seconds: float) -> None:
        """A call has ended. `code`: the name of its grpc.StatusCode."""


class _Around(grpc.aio.ServerInterceptor, ABC):  # type: ignore[misc] # grpc ships no types
    """Enters `around` before a call's method runs and leaves it when the method is over."""

    @abstractmethod
    def around(self, method: str, context: grpc.aio.ServicerContext) -> AbstractAsyncContextManager[None]: ...

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> grpc.RpcMethodHandler:
        handler, method = await continuation(handler_call_details), handler_call_details.method
        if handler is None or method.startswith(_EXEMPT):
            return handler
        return _wrapped(handler, lambda context: self.around(method, context))


class Metrics(_Around):
    """Counts, times and logs calls."""

    def __init__(self, observer: RpcObserver) -> None:
        self._observer = observer

    @asynccontextmanager
    async def around(self, method: str, context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
        began_s, code = time.monotonic(), "UNKNOWN"
        try:
            yield
        except asyncio.CancelledError:
            late = context.time_remaining() is not None and context.time_remaining() <= 0
            code = "DEADLINE_EXCEEDED" if late else "CANCELLED"
            raise
        except Exception:
            code = _code(context, "UNKNOWN")
            raise
        else:
            code = _code(context, "OK")
        finally:
            seconds = time.monotonic() - began_s
            self._observer.rpc(method, code, seconds)
            log.info("rpc", extra={"method": method, "code": code, "seconds": round(seconds, 4)})


class Authentication(_Around):
    """Bearer tokens, each a tenant's. Without any, every call is the default tenant's.

    Args:
        tenants: SHA-256 of a token -> its tenant.
    """

    def __init__(self, tenants: Mapping[bytes, str]) -> None:
        self._tenants = tenants

    @asynccontextmanager
    async def around(self, method: str, context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
        found = self._tenant(context) if self._tenants else tenant.DEFAULT_TENANT
        if found is None:
            error = Unauthenticated("TOKEN_INVALID", "the call needs the metadata `authorization: Bearer <token>`")
            await abort(context, to_status(error))
        else:
            tenant.current.set(found)
        yield

    def _tenant(self, context: grpc.aio.ServicerContext) -> str | None:
        """Compares with every token, so that the time taken tells nothing."""
        value = next((value for key, value in context.invocation_metadata() or () if key == "authorization"), "")
        if not isinstance(value, str) or value[: len(_BEARER)].lower() != _BEARER:
            return None
        given, found = hashlib.sha256(value[len(_BEARER) :].encode()).digest(), None
        for known, name in self._tenants.items():
            if hmac.compare_digest(known, given):
                found = name
        return found


class Concurrency(_Around):
    """Refuses calls beyond `limit` at once. The server's own limit would refuse health checks too."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0

    @asynccontextmanager
    async def around(self, method: str, context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
        if self._running >= self._limit:
            message = f"{self._limit} calls are running, the limit"
            await abort(context, to_status(ResourceExhausted("RPC_LIMIT", message, retry_after_s=_RETRY_S)))
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


class TraceHeaders(_Around):
    """Notes the caller's trace, for a session that the call opens."""

    @asynccontextmanager
    async def around(self, method: str, context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
        metadata = context.invocation_metadata() or ()
        caller.set({key: value for key, value in metadata if key in _TRACE_HEADERS and isinstance(value, str)})
        yield


def _code(context: grpc.aio.ServicerContext, otherwise: str) -> str:
    """The code that was told, if one was."""
    return context.code().name if isinstance(context.code(), grpc.StatusCode) else otherwise


def _wrapped(
    handler: grpc.RpcMethodHandler, around: Callable[[grpc.aio.ServicerContext], AbstractAsyncContextManager[None]]
) -> grpc.RpcMethodHandler:
    make, method = {
        (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
    }[handler.request_streaming, handler.response_streaming]

    async def generate(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        async with around(context):
            async for response in method(request, context):
                yield response

    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
        async with around(context):
            return await method(request, context)

    behaviour = generate if inspect.isasyncgenfunction(method) else call
    return make(behaviour, handler.request_deserializer, handler.response_serializer)
