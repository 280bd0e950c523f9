"""Where everything comes together: engine, orchestrator, telemetry, the gRPC server; and how it all stops."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from service.config import Settings
from service.engine.base import Engine
from service.rpc.customization import Patience
from service.rpc.server import Server, Transport
from service.runtime.orchestrator import Orchestrator
from service.runtime.tracer import Tracer
from service.telemetry import MetricsServer, Telemetry

log = logging.getLogger(__name__)

STOP_GRACE_S = 2.0
"""Once the last session has ended: for its stream to say so, and for calls to finish."""
DRAIN_SLACK_S = 5.0
"""Beyond the grace, for calls to the engine that are in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The service while it runs."""

    orchestrator: Orchestrator
    server: Server
    grpc_address: str
    metrics_address: str

    async def drain(self, grace_s: float) -> None:
        """Refuse new sessions, say so to health checks, and wait for those that run, `grace_s` at most."""
        self.orchestrator.begin_drain(grace_s)
        self.server.health.update()
        try:
            async with asyncio.timeout(grace_s + DRAIN_SLACK_S):
                await self.orchestrator.drained()
        except TimeoutError:
            log.warning("sessions are left after the grace")


class _HealthTelemetry(Telemetry):
    """Telemetry that also has health checks hear of the engine."""

    def __init__(self) -> None:
        super().__init__()
        self.on_engine: Callable[[], None] = lambda: None

    def engine_up(self, up: bool) -> None:
        super().engine_up(up)
        self.on_engine()


@asynccontextmanager
async def running(settings: Settings, engine: Engine, tracer: Tracer | None = None) -> AsyncIterator[App]:
    """The service over an engine: serves once this is entered, and has stopped once it is left.

    Args:
        engine, tracer: closed at the end, and if this does not begin.

    Raises:
        EngineError: the engine does not start.
        OSError, RuntimeError: an address cannot be had.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.close)  # not started yet, and holds its memory already
        if tracer is not None:
            stack.push_async_callback(asyncio.to_thread, tracer.close)
        telemetry = _HealthTelemetry()
        host, port = _split(settings.metrics_listen)
        try:
            metrics = MetricsServer(telemetry.registry, host, port)
        except OSError as error:
            raise OSError(f"CHAMELEON_METRICS_LISTEN={settings.metrics_listen}: {error.strerror}") from error
        stack.push_async_callback(asyncio.to_thread, metrics.close)
        sampling = asyncio.create_task(telemetry.sample_loop_lag(), name="loop lag")
        stack.callback(sampling.cancel)
        orchestrator = Orchestrator(
            engine,
            observer=telemetry,
            tracer=tracer,
            max_sessions_per_tenant=settings.max_sessions_per_tenant,
            engine_grace_s=settings.engine_grace_s,
            idle_timeout_s=settings.idle_timeout_s,
            degradation=settings.degradation,
            garment_bytes=settings.garment_bytes,
            threads=settings.threads,
        )
        await orchestrator.start()
        stack.push_async_callback(orchestrator.close)
        server = Server(
            orchestrator,
            telemetry,
            transport=_transport(settings),
            tenants=settings.tokens or {},
            max_concurrent_rpcs=settings.max_concurrent_rpcs,
            patience=Patience(first_message_s=settings.first_message_timeout_s, unread_s=settings.idle_timeout_s),
            threads=settings.threads,
            traces=tracer is not None,
        )
        stack.push_async_callback(server.stop, STOP_GRACE_S)
        telemetry.on_engine = server.health.update
        await server.start()
        yield App(
            orchestrator=orchestrator,
            server=server,
            grpc_address=_with_port(settings.listen, server.port),
            metrics_address=_with_port(settings.metrics_listen, metrics.port),
        )


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain; at a second signal, or before it serves, stop at once."""
    loop, stop, task = asyncio.get_running_loop(), asyncio.Event(), asyncio.current_task()
    assert task is not None
    serving = False

    def on_signal() -> None:
        if serving and not stop.is_set():
            stop.set()
        else:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    tracer = make_tracer(settings)  # before the engine, which nobody would close if this failed
    async with running(settings, make_engine(settings), tracer) as app:
        serving = True
        print(f"ready grpc={app.grpc_address} metrics={app.metrics_address}", flush=True)
        await stop.wait()
        log.info("draining", extra={"grace_s": settings.drain_grace_s})
        await app.drain(settings.drain_grace_s)
    log.info("stopped")


def make_engine(settings: Settings) -> Engine:
    """The engine that the settings name; imports no other one."""
    if settings.engine == "fake":
        from service.engine.fake import FakeEngine

        return FakeEngine(blocks=settings.blocks)
    from service.engine.launcher import triton_engine

    return triton_engine(
        repository=settings.model_repository,
        blocks=settings.blocks,
        url=settings.triton_url,
        workdir=settings.workdir,
        metrics_port=settings.triton_metrics_port,
        threads=settings.triton_threads,
    )


def make_tracer(settings: Settings) -> Tracer | None:
    """None where traces are off; then OpenTelemetry is not even imported.

    Raises:
        RuntimeError: OpenTelemetry's own variables are wrong.
    """
    if settings.traces == "off":
        return None
    from service.tracing import otlp_tracer

    return otlp_tracer()


def _transport(settings: Settings) -> Transport:
    tls = None
    if settings.tls_key is not None and settings.tls_cert is not None:
        tls = settings.tls_key.read_bytes(), settings.tls_cert.read_bytes()
    return Transport(
        listen=settings.listen,
        tls=tls,
        max_message_bytes=settings.max_message_bytes,
        keepalive_time_s=settings.keepalive_time_s,
        keepalive_timeout_s=settings.keepalive_timeout_s,
    )


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _with_port(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"
