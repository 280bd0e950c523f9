"""What the dashboard shows: titles, units and queries."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.monitoring.objectives import OBJECTIVES, Objective
from deploy.monitoring.rules import BURNS

PODS = 'namespace=~"$namespace",job=~"$job"'
CONTAINERS = 'namespace=~"$namespace"'
"""Triton's own metrics may come by another job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Values over time.

    Attributes:
        limit: where a line is drawn: an objective's edge.
        gpu: only a machine with a GPU has it.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    explanation: str = ""
    limit: float | None = None
    gpu: bool = False


def _series(metric: str, *matchers: str, of: str = PODS) -> str:
    return f"{metric}{{{','.join((of, *matchers))}}}"


def _rate(metric: str, *matchers: str, of: str = PODS) -> str:
    return f"rate({_series(metric, *matchers, of=of)}[$__rate_interval])"


def _quantiles(metric: str, *quantiles: float, matchers: tuple[str, ...] = (), by: str = "") -> tuple[Query, ...]:
    rate = _rate(f"{metric}_bucket", *matchers)
    labels, legend = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    return tuple(
        Query(expr=f"histogram_quantile({q:g}, sum by ({labels}) ({rate}))", legend=f"{legend}p{q * 100:g}")
        for q in quantiles
    )


def _sum(label: str, expr: str) -> tuple[Query, ...]:
    return (Query(expr=f"sum by ({label}) ({expr})", legend=f"{{{{{label}}}}}"),)


def _budget(objective: Objective) -> Chart:
    labels = (f'objective="{objective.name}"',)
    return Chart(
        title=f"{objective.title}: promises broken",
        unit="percentunit",
        explanation=f"{objective.promise}; {objective.target:.1%} of the time. The line is the error budget.",
        queries=tuple(
            Query(expr=_series(f"chameleon:objective_errors:ratio_rate{window}", *labels), legend=window)
            for window in (BURNS[0].short, BURNS[0].long, BURNS[1].long)
        ),
        limit=objective.budget,
    )


def _triton_seconds(stage: str) -> Query:
    spent = _rate(f"nv_inference_{stage}_duration_us", of=CONTAINERS)
    requests = _rate("nv_inference_request_success", of=CONTAINERS)
    return Query(
        expr=f"sum by (model) ({spent}) / 1e6 / (sum by (model) ({requests}) > 0)", legend=f"{{{{model}}}} {stage}"
    )


NOW = (
    Chart(title="Sessions", unit="short", queries=(Query(expr=f"sum({_series('chameleon_sessions')})"),)),
    Chart(
        title="Capacity taken",
        unit="percentunit",
        queries=(Query(expr=f"max({_series('chameleon:session_utilisation:ratio')})"),),
    ),
    Chart(title="Engines up", unit="short", queries=(Query(expr=f"sum({_series('chameleon_engine_up')})"),)),
    Chart(
        title="Refused per minute",
        unit="short",
        queries=(Query(expr=f"60 * sum({_rate('chameleon_sessions_rejected_total')})"),),
    ),
    Chart(
        title="Lost per minute",
        unit="short",
        queries=(Query(expr="60 * sum(" + _rate("chameleon_sessions_ended_total", 'reason="lost"') + ")"),),
    ),
    Chart(
        title="Chunks per second, all",
        unit="short",
        queries=(Query(expr=f"sum({_rate('chameleon_chunk_seconds_count')})"),),
    ),
)
"""Single values."""

OBJECTIVE_ROW = tuple(_budget(objective) for objective in OBJECTIVES)

LATENCY_ROW = (
    Chart(
        title="Time to first frame",
        unit="s",
        queries=_quantiles("chameleon_time_to_first_frame_seconds", 0.5, 0.95, 0.99),
        limit=2,
    ),
    Chart(
        title="Switch: request to chunk written",
        unit="s",
        queries=_quantiles("chameleon_switch_seconds", 0.5, 0.95, 0.99, matchers=('stage="sent"',)),
        limit=2,
    ),
    Chart(title="Switch by stage", unit="s", queries=_quantiles("chameleon_switch_seconds", 0.95, by="stage")),
    Chart(
        title="Real-time factor",
        unit="short",
        explanation="Playing time over making time; p1 and p5 are the slowest. Below 1 the service falls behind.",
        queries=_quantiles("chameleon_realtime_factor", 0.01, 0.05, 0.5),
        limit=1,
    ),
    Chart(title="Chunk", unit="s", queries=_quantiles("chameleon_chunk_seconds", 0.5, 0.95, 0.99)),
    Chart(title="Stages", unit="s", queries=_quantiles("chameleon_stage_seconds", 0.95, by="stage")),
)

SESSION_ROW = (
    Chart(title="Sessions by state", unit="short", queries=_sum("state", _series("chameleon_sessions"))),
    Chart(title="Ended", unit="ops", queries=_sum("reason", _rate("chameleon_sessions_ended_total"))),
    Chart(title="Refused", unit="ops", queries=_sum("reason", _rate("chameleon_sessions_rejected_total"))),
    Chart(
        title="Chunks written late",
        unit="percentunit",
        queries=(Query(expr=_series("chameleon:deadline_misses:ratio_rate5m"), legend="{{namespace}} {{job}}"),),
        limit=0.05,
    ),
    Chart(
        title="Chunks without all their passes",
        unit="percentunit",
        explanation="Left out so as not to be late: the engine is slower than admission measured it.",
        queries=(Query(expr=_series("chameleon:degraded_chunks:ratio_rate5m"), legend="{{namespace}} {{job}}"),),
        limit=0.1,
    ),
    Chart(
        title="Finished chunks' wait for their reader",
        unit="s",
        queries=_quantiles("chameleon_backpressure_seconds", 0.5, 0.95),
    ),
    Chart(title="Session blocks", unit="short", queries=_sum("state", _series("chameleon_cache_slots"))),
)

PROCESS_ROW = (
    Chart(
        title="Event loop lag p99",
        unit="s",
        queries=(
            Query(
                expr=f"histogram_quantile(0.99, sum by (instance, le) "
                f"({_rate('chameleon_event_loop_lag_seconds_bucket')}))",
                legend="{{instance}}",
            ),
        ),
        limit=0.25,
    ),
    Chart(title="Event loop tasks", unit="short", queries=_sum("instance", _series("chameleon_event_loop_tasks"))),
    Chart(title="Processors", unit="short", queries=_sum("instance", _rate("process_cpu_seconds_total"))),
    Chart(title="Resident memory", unit="bytes", queries=_sum("instance", _series("process_resident_memory_bytes"))),
    Chart(title="File descriptors", unit="short", queries=_sum("instance", _series("process_open_fds"))),
    Chart(title="Calls by status", unit="ops", queries=_sum("code", _rate("chameleon_rpcs_total"))),
    Chart(title="Chunks per second", unit="short", queries=_sum("instance", _rate("chameleon_chunk_seconds_count"))),
    Chart(title="Calls p95", unit="s", queries=_quantiles("chameleon_rpc_seconds", 0.95, by="method")),
)

TRITON_ROW = (
    Chart(
        title="Requests",
        unit="reqps",
        queries=_sum("model", _rate("nv_inference_request_success", of=CONTAINERS)),
    ),
    Chart(
        title="Failures",
        unit="reqps",
        queries=_sum("model", _rate("nv_inference_request_failure", of=CONTAINERS)),
    ),
    Chart(
        title="Pending",
        unit="short",
        queries=_sum("model", _series("nv_inference_pending_request_count", of=CONTAINERS)),
    ),
    Chart(
        title="Batch",
        unit="short",
        explanation="Requests in one execution.",
        queries=(
            Query(
                expr=f"sum by (model) ({_rate('nv_inference_count', of=CONTAINERS)}) / "
                f"(sum by (model) ({_rate('nv_inference_exec_count', of=CONTAINERS)}) > 0)",
                legend="{{model}}",
            ),
        ),
    ),
    Chart(
        title="Mean time of a request",
        unit="s",
        queries=(_triton_seconds("queue"), _triton_seconds("compute_infer")),
    ),
    Chart(
        title="GPU",
        unit="percentunit",
        queries=_sum("gpu_uuid", _series("nv_gpu_utilization", of=CONTAINERS)),
        gpu=True,
    ),
    Chart(
        title="GPU memory",
        unit="bytes",
        queries=_sum("gpu_uuid", _series("nv_gpu_memory_used_bytes", of=CONTAINERS)),
        gpu=True,
    ),
    Chart(
        title="GPU power",
        unit="watt",
        queries=_sum("gpu_uuid", _series("nv_gpu_power_usage", of=CONTAINERS)),
        gpu=True,
    ),
)

ROWS = {
    "Objectives": OBJECTIVE_ROW,
    "Latency": LATENCY_ROW,
    "Sessions": SESSION_ROW,
    "Orchestrator": PROCESS_ROW,
    "Triton": TRITON_ROW,
}
