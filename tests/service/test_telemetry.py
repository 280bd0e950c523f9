"""Metrics: their names, their edges, and that they carry no ids."""

import asyncio
import urllib.request

from prometheus_client import generate_latest

from service.core.events import EndReason, State
from service.telemetry import LAG_SAMPLE_S, MetricsServer, Telemetry
from tests.service.runtime.conftest import until

NAMES = {
    "chameleon_sessions",
    "chameleon_session_capacity",
    "chameleon_sessions_rejected",
    "chameleon_sessions_ended",
    "chameleon_time_to_first_frame_seconds",
    "chameleon_chunk_seconds",
    "chameleon_stage_seconds",
    "chameleon_switch_seconds",
    "chameleon_realtime_factor",
    "chameleon_deadline_misses",
    "chameleon_degraded_chunks",
    "chameleon_cache_slots",
    "chameleon_backpressure_seconds",
    "chameleon_event_loop_lag_seconds",
    "chameleon_engine_up",
    "chameleon_rpcs",
    "chameleon_rpc_seconds",
    "chameleon_event_loop_tasks",
    "process_cpu_seconds",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
}


def test_the_metrics_have_the_promised_names_and_no_ids_as_labels() -> None:
    telemetry = Telemetry()
    observe_everything(telemetry)
    families = list(telemetry.registry.collect())
    assert {family.name for family in families} == NAMES
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    assert labels == {"state", "stage", "reason", "method", "code", "le"}


def test_each_objective_is_exactly_an_edge() -> None:
    telemetry = Telemetry()
    observe_everything(telemetry)
    text = generate_latest(telemetry.registry).decode()
    for edge in (
        'chameleon_time_to_first_frame_seconds_bucket{le="2.0"}',
        'chameleon_chunk_seconds_bucket{le="0.5"}',
        'chameleon_chunk_seconds_bucket{le="1.0"}',
        'chameleon_switch_seconds_bucket{le="0.05",stage="accepted"}',
        'chameleon_switch_seconds_bucket{le="2.0",stage="sent"}',
        'chameleon_realtime_factor_bucket{le="1.0"}',
        'chameleon_event_loop_lag_seconds_bucket{le="0.05"}',
    ):
        assert edge in text, edge


def test_a_state_without_sessions_is_zero_not_missing() -> None:
    telemetry = Telemetry()
    telemetry.sessions({State.STREAMING: 2})
    telemetry.sessions({State.PAUSED: 1})
    assert telemetry.registry.get_sample_value("chameleon_sessions", {"state": "streaming"}) == 0
    assert telemetry.registry.get_sample_value("chameleon_sessions", {"state": "paused"}) == 1


def test_series_whose_labels_are_known_are_there_before_their_first_event() -> None:
    registry = Telemetry().registry
    for name, labels in (
        ("chameleon_sessions_rejected_total", {"reason": "SESSION_CAPACITY"}),
        ("chameleon_sessions_ended_total", {"reason": "lost"}),
        ("chameleon_stage_seconds_count", {"stage": "denoise"}),
        ("chameleon_switch_seconds_count", {"stage": "sent"}),
    ):
        assert registry.get_sample_value(name, labels) == 0


async def test_the_loops_lag_and_its_tasks_are_measured() -> None:
    telemetry = Telemetry()
    sampling = asyncio.create_task(telemetry.sample_loop_lag())
    count = "chameleon_event_loop_lag_seconds_count"
    await until(lambda: bool(telemetry.registry.get_sample_value(count)), within_s=10 * LAG_SAMPLE_S)
    tasks = telemetry.registry.get_sample_value("chameleon_event_loop_tasks")
    assert tasks is not None
    assert tasks >= 2
    sampling.cancel()


def test_metrics_are_served_on_a_port_of_their_own() -> None:
    telemetry = Telemetry()
    telemetry.engine_up(True)
    server = MetricsServer(telemetry.registry, "127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as response:
            assert b"chameleon_engine_up 1.0" in response.read()
    finally:
        server.close()


def observe_everything(telemetry: Telemetry) -> None:
    telemetry.stage("denoise", 0.1)
    telemetry.chunk(0.4)
    telemetry.time_to_first_frame(1.5)
    for stage in ("accepted", "applied", "sent"):
        telemetry.switch(stage, 0.2)
    telemetry.realtime_factor(1.5)
    telemetry.rejected("SESSION_CAPACITY")
    telemetry.ended(EndReason.STOPPED)
    telemetry.deadline_miss()
    telemetry.degraded()
    telemetry.backpressure(0.0)
    telemetry.engine_up(True)
    telemetry.sessions({})
    telemetry.capacity(4)
    telemetry.cache_slots({"free": 4})
    telemetry.rpc("/a.B/C", "OK", 0.1)
