"""`grpc.health.v1` for each service by name, for all together under the empty name, and for the process itself.

`liveness` is SERVING whatever the engine does: the event loop answers, so only a loop that hangs fails it. A process
whose engine is down or that drains is not ready, but must not be killed for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from grpc_health.v1 import health, health_pb2

OVERALL = ""
LIVENESS = "liveness"


class Health:
    """Keeps the health service's answers at what `ready` says; `update` whenever that may have changed."""

    def __init__(self, services: tuple[str, ...], ready: Callable[[], bool]) -> None:
        self.servicer = health.aio.HealthServicer()
        self._services = (OVERALL, *services)
        self._ready = ready
        self._changed = asyncio.Event()
        self._changed.set()

    def update(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.publish()

    async def publish(self) -> None:
        status = health_pb2.HealthCheckResponse
        await self.servicer.set(LIVENESS, status.SERVING)
        for service in self._services:
            await self.servicer.set(service, status.SERVING if self._ready() else status.NOT_SERVING)
