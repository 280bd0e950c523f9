"""Metrics for Prometheus, in base units. No label names a session or a tenant.

Series whose labels are known exist from the start, at zero: `rate()` would not see the first event of one that appears
with it. The rules and the dashboard over them are in deploy/monitoring.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    make_wsgi_app,
)
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from service.core.events import EndReason, State

# One more series for each metric, of no use here.
disable_created_metrics()  # type: ignore[no-untyped-call]

LAG_SAMPLE_S = 0.25
_POLL_S = 0.05

# Each list has an edge exactly on every objective: first frame 2 s, a chunk within its playing time (0.5 s at 24 frames
# per second, 1 s at 12), a switch accepted within 50 ms and sent within two chunks, faster than real time, a loop that
# answers within 50 ms.
_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_CHUNK_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0)
_FIRST_FRAME_BUCKETS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_SWITCH_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_FACTOR_BUCKETS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0, 8.0)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_RPC_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0)

_SLOT_STATES = ("free", "leased", "clearing")
_STAGES = ("queue", "text", "encode", "prefill", "denoise", "commit", "decode", "media", "send")
_SWITCH_STAGES = ("accepted", "applied", "sent")
_REFUSALS = ("DRAINING", "ENGINE_DOWN", "SESSION_CAPACITY", "TENANT_QUOTA")


class Telemetry:
    """Implements `service.runtime.observer.Observer` and `service.rpc.interceptors.RpcObserver`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._sessions = Gauge("chameleon_sessions", "Sessions by state.", ["state"], registry=registry)
        self._capacity = Gauge(
            "chameleon_session_capacity", "Real-time sessions that fit, the open ones included.", registry=registry
        )
        self._rejected = Counter(
            "chameleon_sessions_rejected", "Sessions refused, by reason.", ["reason"], registry=registry
        )
        self._ended = Counter("chameleon_sessions_ended", "Sessions over, by reason.", ["reason"], registry=registry)
        self._first_frame = _histogram(
            registry,
            "chameleon_time_to_first_frame_seconds",
            "From the request for a session until its first chunk was written to a stream.",
            _FIRST_FRAME_BUCKETS,
        )
        self._chunk = _histogram(
            registry,
            "chameleon_chunk_seconds",
            "From the start of a chunk's first pass until its media were ready, waits included.",
            _CHUNK_BUCKETS,
        )
        self._stage = _histogram(
            registry, "chameleon_stage_seconds", "Time in each stage of a chunk.", _STAGE_BUCKETS, "stage"
        )
        self._switch = _histogram(
            registry,
            "chameleon_switch_seconds",
            "From a switch's request, or when it was due and the session ran, until this stage.",
            _SWITCH_BUCKETS,
            "stage",
        )
        self._realtime_factor = _histogram(
            registry,
            "chameleon_realtime_factor",
            "Playing time of a chunk over the time it added, less what pacing, a pause or the reader held it back.",
            _FACTOR_BUCKETS,
        )
        self._deadline_misses = Counter(
            "chameleon_deadline_misses", "Chunks written after their playing time.", registry=registry
        )
        self._degraded = Counter(
            "chameleon_degraded_chunks", "Chunks that went without some denoising passes.", registry=registry
        )
        self._cache_slots = Gauge("chameleon_cache_slots", "Session blocks by state.", ["state"], registry=registry)
        self._backpressure = _histogram(
            registry, "chameleon_backpressure_seconds", "Finished chunks' wait for their reader.", _STAGE_BUCKETS
        )
        self._loop_lag = _histogram(
            registry, "chameleon_event_loop_lag_seconds", "How late the event loop runs what is due.", _LAG_BUCKETS
        )
        self._loop_tasks = Gauge("chameleon_event_loop_tasks", "Tasks that the event loop holds.", registry=registry)
        self._engine_up = Gauge("chameleon_engine_up", "1 if the engine answers.", registry=registry)
        self._rpcs = Counter("chameleon_rpcs", "Calls ended.", ["method", "code"], registry=registry)
        self._rpc_seconds = _histogram(
            registry, "chameleon_rpc_seconds", "Duration of calls, streams included.", _RPC_BUCKETS, "method"
        )
        ProcessCollector(registry=registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        self._stages = {stage: self._stage.labels(stage) for stage in _STAGES}
        self._switches = {stage: self._switch.labels(stage) for stage in _SWITCH_STAGES}
        for reason in _REFUSALS:
            self._rejected.labels(reason)
        for end in EndReason:
            self._ended.labels(end.name.lower())

    # Observer

    def stage(self, stage: str, seconds: float) -> None:
        self._stages[stage].observe(seconds)

    def chunk(self, seconds: float) -> None:
        self._chunk.observe(seconds)

    def degraded(self) -> None:
        self._degraded.inc()

    def time_to_first_frame(self, seconds: float) -> None:
        self._first_frame.observe(seconds)

    def switch(self, stage: str, seconds: float) -> None:
        self._switches[stage].observe(seconds)

    def realtime_factor(self, factor: float) -> None:
        self._realtime_factor.observe(factor)

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def ended(self, reason: EndReason) -> None:
        self._ended.labels(reason.name.lower()).inc()

    def deadline_miss(self) -> None:
        self._deadline_misses.inc()

    def backpressure(self, seconds: float) -> None:
        self._backpressure.observe(seconds)

    def engine_up(self, up: bool) -> None:
        self._engine_up.set(up)

    def sessions(self, counts: Mapping[State, int]) -> None:
        for state in State:
            self._sessions.labels(state.name.lower()).set(counts.get(state, 0))

    def capacity(self, sessions: int) -> None:
        self._capacity.set(sessions)

    def cache_slots(self, counts: Mapping[str, int]) -> None:
        for state in _SLOT_STATES:
            self._cache_slots.labels(state).set(counts.get(state, 0))

    # RpcObserver

    def rpc(self, method: str, code: str, seconds: float) -> None:
        self._rpcs.labels(method, code).inc()
        self._rpc_seconds.labels(method).observe(seconds)

    # What Telemetry does itself

    async def sample_loop_lag(self) -> None:
        """Measure the event loop's lag, and count its tasks, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + LAG_SAMPLE_S
            await asyncio.sleep(LAG_SAMPLE_S)  # its lateness is what is measured
            self._loop_lag.observe(max(0.0, loop.time() - due_s))
            self._loop_tasks.set(len(asyncio.all_tasks(loop)))


class MetricsServer:
    """Serves `/metrics` on a port of its own, on threads of its own; port 0 lets the system choose.

    As prometheus_client's `start_http_server`, which takes half a second to stop.
    """

    def __init__(self, registry: Collector, host: str, port: int) -> None:
        server_class = _ServerIpv6 if ":" in host else ThreadingWSGIServer
        self._server = make_server(host, port, make_wsgi_app(registry), server_class, _SilentHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _ServerIpv6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


def _histogram(
    registry: CollectorRegistry, name: str, explanation: str, buckets: tuple[float, ...], *labels: str
) -> Histogram:
    return Histogram(name, explanation, labels, buckets=buckets, registry=registry)
