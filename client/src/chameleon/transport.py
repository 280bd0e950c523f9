"""One long-lived channel: its settings, its calls with deadline and retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
from fashionchameleon.v1 import customization_service_pb2_grpc, garment_service_pb2_grpc

from chameleon.affinity import Affinity
from chameleon.errors import from_rpc_error
from chameleon.retry import Backoff, RetryPolicy

MAX_MESSAGE_BYTES = 16 << 20

_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # The contract that the service publishes: ping after 30 s of silence, give up 10 s later.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A broken connection is tried again within the time that a session outlives its stream, not after gRPC's 1 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


class Transport:
    """The channel and the stubs on it. Made and closed on one event loop."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None,
        credentials: grpc.ChannelCredentials | None,
        timeout_s: float,
        retry: RetryPolicy,
    ) -> None:
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
        self.customization: Any = customization_service_pb2_grpc.CustomizationServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated
        self.garments: Any = garment_service_pb2_grpc.GarmentServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.retry = retry
        self._timeout_s = timeout_s

    async def call(
        self,
        method: Callable[..., Any],
        request: Any,
        *,
        affinity: Affinity | None = None,
        timeout_s: float | None = None,
        gone_is_done: bool = False,
    ) -> Any:
        """A unary call, made again where `retry.may_retry` allows.

        Args:
            affinity: sent, and learned from the answer; None: any server will do.
            timeout_s: for all attempts together; None: the client's.
            gone_is_done: for a deletion: NOT_FOUND after a lost answer means that the first attempt did it.

        Raises:
            ChameleonError: the service refused, or could not be reached in time.
        """
        deadline_s = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        backoff, affinity = Backoff(self.retry), affinity or Affinity()
        while True:
            metadata = self.metadata + affinity.metadata
            call = method(request, timeout=max(0.0, deadline_s - time.monotonic()), metadata=metadata or None)
            try:
                response = await call
                affinity.learn(await call.initial_metadata())
                return response
            except grpc.aio.AioRpcError as rpc_error:
                error = from_rpc_error(rpc_error)
            if gone_is_done and backoff.failures and error.code is grpc.StatusCode.NOT_FOUND:
                return None
            delay_s = backoff.delay_s(error, remaining_s=deadline_s - time.monotonic())
            if delay_s is None:
                raise error
            await asyncio.sleep(delay_s)

    async def close(self) -> None:
        """Cancels what still runs."""
        await self._channel.close()
