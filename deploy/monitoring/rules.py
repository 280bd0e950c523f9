"""Recording rules and alerts as data. Burn rates after the SRE Workbook, chapter 5 ("Alerting on SLOs"): a long window
says that it matters, a short one that it still goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.monitoring.objectives import BY, OBJECTIVES, Objective, rate, recorded_refused, refused

Rule = dict[str, Any]
RUNBOOKS = "https://docs.example.com/fashionchameleon/operations.md"
"""Where docs/operations.md is to be read, for the link in each alert: put yours in."""
LEAST_EVENTS = 20
"""In an alert's long window: of fewer, a single bad one would be a high share."""

_TRITON_FAILURES = 'sum by (namespace, job, model) (rate(nv_inference_request_failure{reason!="CANCELED"}[5m]))'
_TRITON_SUCCESSES = "sum by (namespace, job, model) (rate(nv_inference_request_success[5m]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """`factor` times the rate that spends a 30-day budget in 30 days."""

    long: str
    short: str
    factor: float
    severity: str
    for_: str


BURNS = (
    Burn(long="1h", short="5m", factor=14.4, severity="page", for_="2m"),
    Burn(long="6h", short="30m", factor=6, severity="page", for_="5m"),
    Burn(long="1d", short="2h", factor=3, severity="ticket", for_="15m"),
    Burn(long="3d", short="6h", factor=1, severity="ticket", for_="30m"),
)
WINDOWS = tuple(window for burn in reversed(BURNS) for window in (burn.short, burn.long))


def groups() -> list[dict[str, Any]]:
    """Prometheus rule groups."""
    return [
        {"name": "chameleon-fleet", "rules": list(_fleet())},
        {"name": "chameleon-objectives", "rules": [*_refused(), *(rule for o in OBJECTIVES for rule in _recorded(o))]},
        {"name": "chameleon-burn-rates", "rules": [_burn_alert(o, burn) for o in OBJECTIVES for burn in BURNS]},
        {"name": "chameleon-causes", "rules": list(_causes())},
    ]


def errors(objective: Objective, window: str) -> str:
    """The recorded share of bad events."""
    return f'chameleon:objective_errors:ratio_rate{window}{{objective="{objective.name}"}}'


def _fleet() -> tuple[Rule, ...]:
    held = f'sum {BY} (chameleon_cache_slots{{state!="free"}})'
    return (
        _record("chameleon:session_utilisation:ratio", f"{held}\n/\nsum {BY} (chameleon_session_capacity)"),
        _record(
            "chameleon:deadline_misses:ratio_rate5m",
            f"{rate('chameleon_deadline_misses_total', '5m')}\n/\n"
            + rate('chameleon_stage_seconds_count{stage="send"}', "5m"),
        ),
        _record(
            "chameleon:degraded_chunks:ratio_rate5m",
            f"{rate('chameleon_degraded_chunks_total', '5m')}\n/\n{rate('chameleon_chunk_seconds_count', '5m')}",
        ),
    )


def _refused() -> list[Rule]:
    """Before the objectives that count them, in one group: its rules are evaluated in order."""
    return [_record(recorded_refused(window), refused(window)) for window in sorted(set(WINDOWS), key=_seconds)]


def _recorded(objective: Objective) -> list[Rule]:
    labels = {"objective": objective.name}
    ratios = [
        _record(f"chameleon:objective_errors:ratio_rate{window}", objective.error_ratio(window), labels)
        for window in sorted(set(WINDOWS), key=_seconds)
    ]
    events = [
        _record(f"chameleon:objective_events:rate{burn.long}", objective.events(burn.long), labels) for burn in BURNS
    ]
    return ratios + events


def _burn_alert(objective: Objective, burn: Burn) -> Rule:
    limit = round(burn.factor * objective.budget, 6)
    events = f'chameleon:objective_events:rate{burn.long}{{objective="{objective.name}"}}'
    name = "Chameleon" + "".join(word.capitalize() for word in objective.name.split("_")) + "BudgetBurn"
    return _alert(
        name,
        f"{errors(objective, burn.long)} > {limit}\n"
        f"and {errors(objective, burn.short)} > {limit}\n"
        f"and {events} * {_seconds(burn.long)} >= {LEAST_EVENTS}",
        for_=burn.for_,
        severity=burn.severity,
        summary=f"{objective.title}: the error budget is spent {burn.factor:g} times too fast",
        description=(
            f"The promise: {objective.promise}, {objective.target:.1%} of the time. Over {burn.long} "
            "{{ $value | humanizePercentage }} broke it, in namespace {{ $labels.namespace }}."
        ),
        labels={"objective": objective.name, "window": burn.long},
    )


def _causes() -> tuple[Rule, ...]:
    """What explains a broken promise, or breaks one soon."""
    return (
        _alert(
            "ChameleonAbsent",
            "absent(chameleon_engine_up == 1)",
            for_="5m",
            severity="page",
            summary="Nothing serves: no pod with an engine is seen",
            description="Either every pod is down, or Prometheus does not find them.",
        ),
        _alert(
            "ChameleonEngineDown",
            "chameleon_engine_up == 0",
            for_="1m",
            severity="ticket",
            summary="Triton does not answer its orchestrator",
            description="{{ $labels.instance }} has had no engine for a minute: its sessions have ended, none begins.",
        ),
        _alert(
            "ChameleonNearCapacity",
            "chameleon:session_utilisation:ratio > 0.9",
            for_="10m",
            severity="ticket",
            summary="Sessions take more than nine tenths of what fits",
            description="{{ $value | humanizePercentage }} of the session blocks are taken; the next peak is refused.",
        ),
        _alert(
            "ChameleonSessionsRefused",
            f"{recorded_refused('5m')} > 0",
            for_="10m",
            severity="ticket",
            summary="Sessions have been refused for ten minutes, for want of capacity",
            description="{{ $value | humanize }} a second.",
        ),
        _alert(
            "ChameleonDeadlinesMissed",
            "chameleon:deadline_misses:ratio_rate5m > 0.05",
            for_="10m",
            severity="ticket",
            summary="More than one chunk in twenty comes after its playing time",
            description="{{ $value | humanizePercentage }} of the chunks written: viewers see the video stall.",
        ),
        _alert(
            "ChameleonChunksDegraded",
            "chameleon:degraded_chunks:ratio_rate5m > 0.1",
            for_="30m",
            severity="ticket",
            summary="For half an hour more than one chunk in ten went without some of its denoising passes",
            description="{{ $value | humanizePercentage }} of the chunks: the engine is slower than admission saw it.",
        ),
        _alert(
            "ChameleonEventLoopLag",
            "histogram_quantile(0.99, sum by (namespace, job, instance, le) "
            "(rate(chameleon_event_loop_lag_seconds_bucket[5m]))) > 0.25",
            for_="10m",
            severity="ticket",
            summary="An orchestrator's event loop is late by more than a quarter of a second",
            description="{{ $labels.instance }}: {{ $value | humanizeDuration }} at the 99th percentile.",
        ),
        _alert(
            "ChameleonBlocksNotCleared",
            'min_over_time(chameleon_cache_slots{state="clearing"}[5m]) > 0',
            for_="5m",
            severity="ticket",
            summary="Session blocks wait to be cleared and do not come back",
            description="{{ $labels.instance }} holds {{ $value }} blocks that no session has.",
        ),
        _alert(
            "ChameleonDescriptorsScarce",
            "process_open_fds / process_max_fds > 0.8 and on (instance) chameleon_engine_up",
            for_="5m",
            severity="ticket",
            summary="An orchestrator is running out of file descriptors",
            description="{{ $labels.instance }} has {{ $value | humanizePercentage }} of them open.",
        ),
        _alert(
            "ChameleonTritonRefuses",
            f"{_TRITON_FAILURES}\n/\n({_TRITON_FAILURES} + {_TRITON_SUCCESSES}) > 0.01",
            for_="5m",
            severity="ticket",
            summary="Triton fails more than one request in a hundred",
            description="Model {{ $labels.model }}: {{ $value | humanizePercentage }}.",
        ),
    )


def _record(name: str, expr: str, labels: dict[str, str] | None = None) -> Rule:
    return {"record": name, "expr": expr} | ({"labels": labels} if labels else {})


def _alert(
    name: str,
    expr: str,
    *,
    for_: str,
    severity: str,
    summary: str,
    description: str,
    labels: dict[str, str] | None = None,
) -> Rule:
    return {
        "alert": name,
        "expr": expr,
        "for": for_,
        "labels": {"severity": severity, **(labels or {})},
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"{RUNBOOKS}#{name.lower()}",
        },
    }


def _seconds(window: str) -> int:
    return int(window[:-1]) * {"m": 60, "h": 3600, "d": 86400}[window[-1]]
