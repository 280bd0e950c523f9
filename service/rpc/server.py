"""The gRPC server: both services, health, reflection, and the transport's limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import grpc
from fashionchameleon.v1 import (
    customization_service_pb2,
    customization_service_pb2_grpc,
    garment_service_pb2,
    garment_service_pb2_grpc,
)
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.rpc.customization import CustomizationServicer, Patience
from service.rpc.garments import GarmentServicer
from service.rpc.health import Health
from service.rpc.intake import Intake
from service.rpc.interceptors import Authentication, Concurrency, Metrics, RpcObserver, TraceHeaders
from service.runtime.observer import Observer
from service.runtime.orchestrator import Orchestrator
from service.threads import started_pool

SERVICES: tuple[str, ...] = (
    customization_service_pb2.DESCRIPTOR.services_by_name["CustomizationService"].full_name,
    garment_service_pb2.DESCRIPTOR.services_by_name["GarmentService"].full_name,
)

_CLIENT_PING_INTERVAL_MS = 15_000
"""Clients are asked to ping every 30 s; twice as often is let pass."""


class FullObserver(Observer, RpcObserver, Protocol):
    """What the whole server reports to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How the server listens. TLS with `tls` (key, certificate chain), PEM."""

    listen: str
    tls: tuple[bytes, bytes] | None = None
    max_message_bytes: int = 16 << 20
    keepalive_time_s: float = 30.0
    keepalive_timeout_s: float = 10.0

    def options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.keepalive_time_ms", round(self.keepalive_time_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(self.keepalive_timeout_s * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", _CLIENT_PING_INTERVAL_MS),
            ("grpc.so_reuseport", 0),  # a port in use is an error
        ]


class Server:
    """Serves an orchestrator that has started. On one event loop; `start` once, `stop` once."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        observer: FullObserver,
        *,
        transport: Transport,
        tenants: Mapping[bytes, str],
        max_concurrent_rpcs: int,
        patience: Patience,
        threads: int,
        traces: bool = False,
    ) -> None:
        self.health = Health(SERVICES, lambda: orchestrator.ready)
        self._threads = started_pool(threads, "pictures")
        self._reporting: asyncio.Task[None] | None = None
        self._server = grpc.aio.server(
            interceptors=(
                Metrics(observer),
                Authentication(tenants),
                Concurrency(max_concurrent_rpcs),
                *((TraceHeaders(),) if traces else ()),
            ),
            options=transport.options(),
        )
        intake = Intake(orchestrator, self._threads)
        customization = CustomizationServicer(orchestrator, intake, observer, patience)
        garments = GarmentServicer(orchestrator.garments, intake)
        customization_service_pb2_grpc.add_CustomizationServiceServicer_to_server(  # type: ignore[no-untyped-call]
            customization, self._server
        )
        garment_service_pb2_grpc.add_GarmentServiceServicer_to_server(  # type: ignore[no-untyped-call]
            garments, self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, self._server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self.port = self._listen(transport)

    def _listen(self, transport: Transport) -> int:
        """The port. RuntimeError if it cannot be had."""
        if transport.tls is None:
            return int(self._server.add_insecure_port(transport.listen))
        return int(self._server.add_secure_port(transport.listen, grpc.ssl_server_credentials([transport.tls])))

    async def start(self) -> None:
        await self.health.publish()
        await self._server.start()
        self._reporting = asyncio.create_task(self.health.run(), name="health")

    async def stop(self, grace_s: float) -> None:
        """Close the listener at once, give calls that run `grace_s`, then cancel them."""
        await self._server.stop(grace_s)
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.wait((self._reporting,))
        self._threads.shutdown()
