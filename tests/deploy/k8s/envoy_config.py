"""Envoy's configuration as Envoy Gateway makes it of an overlay's routes and policies.

What no policy says is left out, so that Envoy's own default holds: 15 s for an answer, 5 minutes without a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.deploy.k8s.manifests import Object, of_kind, quantity

LOAD_BALANCERS = {"LeastRequest": "LEAST_REQUEST", "RoundRobin": "ROUND_ROBIN", "Random": "RANDOM"}
SESSIONS = "envoy.filters.http.stateful_session"
_UNITS_S = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
_ROUTE_IDLE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A listener of Envoy's, by the manifests that it stands for.

    Attributes:
        unsaid_timeout: in place of Envoy's 15 s, where no policy gives a route's timeout.
    """

    objects: tuple[Object, ...]
    unsaid_timeout: str | None = None


def without_policies(objects: tuple[Object, ...]) -> tuple[Object, ...]:
    return tuple(item for item in objects if not item["apiVersion"].startswith("gateway.envoyproxy.io/"))


def seconds(duration: str) -> float:
    """Of a Gateway API duration."""
    return sum(float(number) * _UNITS_S[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", duration))


def policy_of(objects: tuple[Object, ...], route: Object) -> Object:
    """The spec of the BackendTrafficPolicy that a route has, empty without one. Envoy Gateway refuses a second."""
    reference = {"group": "gateway.networking.k8s.io", "kind": route["kind"], "name": route["metadata"]["name"]}
    policies = [policy["spec"] for policy in of_kind(objects, "BackendTrafficPolicy")]
    found = [policy for policy in policies if reference in policy["targetRefs"]]
    assert len(found) <= 1, f"{reference['name']} has two policies"
    return found[0] if found else {}


def session_headers(objects: tuple[Object, ...]) -> set[str]:
    rules = [rule for route in of_kind(objects, "GRPCRoute") for rule in route["spec"]["rules"]]
    return {rule["sessionPersistence"]["sessionName"] for rule in rules if "sessionPersistence" in rule}


def routes(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    """Whole paths before their beginnings."""
    made = [
        entry
        for route in of_kind(gateway.objects, "GRPCRoute")
        for rule in route["spec"]["rules"]
        for entry in _rule_routes(rule, policy_of(gateway.objects, route), _cluster(name, route, rule), gateway)
    ]
    return sorted(made, key=lambda entry: "prefix" in entry["match"])


def clusters(gateway: Gateway, name: str, ports: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One for each rule: a pod's open calls are counted in each by itself."""
    for route in of_kind(gateway.objects, "GRPCRoute"):
        policy = policy_of(gateway.objects, route)
        kind = policy.get("loadBalancer", {"type": "LeastRequest"})["type"]
        options = _typed("extensions.upstreams.http.v3.HttpProtocolOptions") | {
            "explicit_http_config": {"http2_protocol_options": {}}
        }
        if "maxStreamDuration" in _timeouts(policy):
            longest = _duration(_timeouts(policy)["maxStreamDuration"])
            options["common_http_protocol_options"] = {"max_stream_duration": longest}
        for rule in route["spec"]["rules"]:
            cluster = _cluster(name, route, rule)
            endpoints = [{"endpoint": {"address": address(port)}} for port in ports]
            yield {
                "name": cluster,
                "type": "STATIC",
                "lb_policy": LOAD_BALANCERS[kind],
                "load_assignment": {"cluster_name": cluster, "endpoints": [{"lb_endpoints": endpoints}]},
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
            }


def listener(gateway: Gateway, name: str) -> dict[str, Any]:
    (client,) = [policy["spec"] for policy in of_kind(gateway.objects, "ClientTrafficPolicy")] or [{}]
    (header,) = session_headers(gateway.objects)
    filters = [
        {"name": SESSIONS, "disabled": True, "typed_config": _stateful(header)},  # each route has its own
        {"name": "envoy.filters.http.router", "typed_config": _typed("extensions.filters.http.router.v3.Router")},
    ]
    manager = _typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager") | {
        "stat_prefix": name,
        "codec_type": "HTTP2",
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes(gateway, name)}]},
    }
    if "streamIdleTimeout" in _timeouts(client):
        manager["stream_idle_timeout"] = _duration(_timeouts(client)["streamIdleTimeout"])
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    held = client.get("connection", {}).get("bufferLimit", "32Ki")
    return {
        "name": name,
        "address": address(0),
        "per_connection_buffer_limit_bytes": int(quantity(held)),
        "filter_chains": [chain],
    }


def bootstrap(gateways: Mapping[str, Gateway], ports: Sequence[int]) -> dict[str, Any]:
    """One Envoy with a listener for each gateway, before the same pods."""
    return {
        "admin": {"address": address(0)},
        "static_resources": {
            "listeners": [listener(gateway, name) for name, gateway in gateways.items()],
            "clusters": [cluster for name, gateway in gateways.items() for cluster in clusters(gateway, name, ports)],
        },
    }


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _rule_routes(rule: Object, policy: Object, cluster: str, gateway: Gateway) -> Iterator[dict[str, Any]]:
    action: dict[str, Any] = {"cluster": cluster}
    timeouts = _timeouts(policy)
    if "requestTimeout" in timeouts:
        longest_s = seconds(timeouts["requestTimeout"])
        action["timeout"] = f"{longest_s:g}s"
        action["idle_timeout"] = f"{max(_ROUTE_IDLE_S, longest_s) if longest_s else 0:g}s"
    elif gateway.unsaid_timeout is not None:
        action["timeout"] = gateway.unsaid_timeout
    if "retry" in policy:
        action["retry_policy"] = _retry(policy["retry"])
    for match in rule["matches"]:
        method = match["method"]
        path = {"path": "/{service}/{method}".format(**method)} if "method" in method else {}
        entry = {"match": path or {"prefix": f"/{method['service']}/"}, "route": action}
        if "sessionPersistence" in rule:
            override = _typed("extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute") | {
                "stateful_session": _session_state(rule["sessionPersistence"]["sessionName"])
            }
            entry["typed_per_filter_config"] = {SESSIONS: override}
        yield entry


def _retry(retry: Object) -> dict[str, Any]:
    back_off = retry["perRetry"]["backOff"]
    predicate = _typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    return {
        "retry_on": ",".join(retry["retryOn"]["triggers"]),
        "num_retries": retry["numRetries"],
        "retry_back_off": {
            "base_interval": _duration(back_off["baseInterval"]),
            "max_interval": _duration(back_off["maxInterval"]),
        },
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": predicate}],
        "host_selection_retry_max_attempts": 5,
    }


def _cluster(name: str, route: Object, rule: Object) -> str:
    return f"{name}/{route['metadata']['name']}/{rule['name']}"


def _timeouts(policy: Object) -> Object:
    found: Object = policy.get("timeout", {}).get("http", {})
    return found


def _duration(duration: str) -> str:
    return f"{seconds(duration):g}s"


def _stateful(header: str) -> dict[str, Any]:
    return _typed("extensions.filters.http.stateful_session.v3.StatefulSession") | _session_state(header)


def _session_state(header: str) -> dict[str, Any]:
    state = _typed("extensions.http.stateful_session.header.v3.HeaderBasedSessionState") | {"name": header}
    return {"session_state": {"name": "envoy.http.stateful_session.header", "typed_config": state}}


def _typed(name: str) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/envoy.{name}"}
