"""What is promised, and the PromQL that tells how often the promise was broken.

Each objective counts events and says which were bad; its error budget is the share of bad ones that is allowed. All
expressions sum over a job's pods, and keep `namespace` and `job`: staging does not dilute production.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BY = "by (namespace, job)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`bad` and `events` give PromQL rates over a window such as `5m`.

    Attributes:
        target: share of events that must be good.
    """

    name: str
    title: str
    promise: str
    target: float
    bad: Callable[[str], str]
    events: Callable[[str], str]

    @property
    def budget(self) -> float:
        return round(1 - self.target, 6)

    def error_ratio(self, window: str) -> str:
        return f"{self.bad(window)}\n/\n{self.events(window)}"


def rate(selector: str, window: str) -> str:
    return f"sum {BY} (rate({selector}[{window}]))"


_REFUSED_BY_A_POD = 'chameleon_sessions_rejected_total{reason="SESSION_CAPACITY"}'
_GIVEN_UP_BY_A_GATEWAY = (
    'envoy_cluster_upstream_rq_retry_limit_exceeded{envoy_cluster_name=~"grpcroute/[^/]+/chameleon-opening/.+"}'
)


def refused(window: str) -> str:
    """Sessions that were refused for want of room, for good.

    A gateway that retries (components/gateway-envoy) asks another pod, and only what it gives up is refused: where it
    is scraped its count is taken, elsewhere every pod's refusal. Its clusters are named after route and namespace.
    """
    by_gateway = f"rate({_GIVEN_UP_BY_A_GATEWAY}[{window}])"
    for label, value, source, pattern in (
        ("namespace", "$1", "envoy_cluster_name", "grpcroute/([^/]+)/.+"),
        ("job", "chameleon", "", ""),
    ):
        by_gateway = f'label_replace({by_gateway}, "{label}", "{value}", "{source}", "{pattern}")'
    return f"sum {BY} ({by_gateway})\nor\n{rate(_REFUSED_BY_A_POD, window)}"


def recorded_refused(window: str) -> str:
    return f"chameleon:sessions_refused:rate{window}"


def _slower_than(metric: str, edge: str, labels: str = "") -> Callable[[str], str]:
    limit = f'le="{edge}"'
    every, in_time = f"{metric}_count{_braces(labels)}", f"{metric}_bucket{_braces(labels, limit)}"
    return lambda window: f"({rate(every, window)} - {rate(in_time, window)})"


def _refused_or(*selectors: str) -> Callable[[str], str]:
    """With events of several counters. Their label sets differ, so that none hides another."""
    return lambda window: (
        f"sum {BY} ({' or '.join([recorded_refused(window), *(f'rate({one}[{window}])' for one in selectors)])})"
    )


def _braces(*matchers: str) -> str:
    given = ",".join(matcher for matcher in matchers if matcher)
    return f"{{{given}}}" if given else ""


_UNSERVED = 'chameleon_sessions_rejected_total{reason="ENGINE_DOWN"}'
_FAULTS = 'chameleon_rpcs_total{code=~"INTERNAL|UNKNOWN"}'

OBJECTIVES = (
    Objective(
        name="time_to_first_frame",
        title="Time to first frame",
        promise="the first chunk is written to the stream within 2 s of the request",
        target=0.99,
        bad=_slower_than("chameleon_time_to_first_frame_seconds", "2.0"),
        events=lambda window: rate("chameleon_time_to_first_frame_seconds_count", window),
    ),
    Objective(
        name="switch_latency",
        title="Switch latency",
        promise="the first chunk with the new garment is written within 2 s of the request, or of when it was due",
        target=0.99,
        bad=_slower_than("chameleon_switch_seconds", "2.0", 'stage="sent"'),
        events=lambda window: rate('chameleon_switch_seconds_count{stage="sent"}', window),
    ),
    Objective(
        name="realtime_factor",
        title="Real-time factor",
        promise="a chunk takes less time than it plays",
        target=0.99,
        bad=lambda window: rate('chameleon_realtime_factor_bucket{le="1.0"}', window),
        events=lambda window: rate("chameleon_realtime_factor_count", window),
    ),
    Objective(
        name="availability",
        title="Availability",
        promise="a session that is asked for is opened, and ends only because its client or its length ends it",
        target=0.995,
        bad=_refused_or('chameleon_sessions_ended_total{reason=~"lost|drained"}', _UNSERVED, _FAULTS),
        events=_refused_or("chameleon_sessions_ended_total", _UNSERVED, _FAULTS),
    ),
)
