"""What the autoscalers ask Prometheus, against what the service and the recording rules give."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.objectives import refused
from service.telemetry import Telemetry
from tests.deploy.k8s.manifests import GPU_OVERLAYS, K8S, Object, of_kind, one, overlay, quantity
from tests.deploy.k8s.needs import require

_SERIES = re.compile(r"\b(chameleon[a-z0-9_:]*)(?:\{([^}]*)\})?")
ADAPTER = yaml.safe_load((K8S / "components" / "hpa" / "prometheus_adapter_values.yaml").read_text())["rules"][
    "external"
]


def exported() -> set[str]:
    """Names of the service's samples."""
    names = set()
    for family in Telemetry().registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def recorded(objects: tuple[Object, ...]) -> dict[str, list[str]]:
    """Recording rule -> its expressions."""
    rules: dict[str, list[str]] = {}
    for group in one(objects, "PrometheusRule")["spec"]["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                rules.setdefault(rule["record"], []).append(rule["expr"])
    return rules


def triggers(name: str) -> list[Any]:
    found: list[Any] = one(overlay(name), "ScaledObject")["spec"]["triggers"]
    return found


def expressions() -> list[str]:
    return [entry["metadata"]["query"] for entry in triggers("gke-h200")] + [rule["metricsQuery"] for rule in ADAPTER]


@pytest.mark.parametrize("query", expressions())
def test_queries_ask_for_series_that_are_there(query: str) -> None:
    """Recording rules of deploy/monitoring, made of metrics of service/telemetry.py."""
    known, rules = exported(), recorded(overlay("gke-h200"))
    names = [match[1] for match in _SERIES.finditer(query) if match[1] != "chameleon"]
    assert names
    for name in names:
        assert name in known | rules.keys()
        for expression in rules.get(name, []):
            for part in _SERIES.finditer(expression):
                assert part[1] in known | rules.keys() | {"chameleon"}, part[1]  # the job's name, and the route's


@pytest.mark.parametrize("query", expressions())
def test_queries_ask_about_this_service_only(query: str) -> None:
    """By namespace and job; the job is the Service that the ServiceMonitor selects."""
    objects = overlay("gke-h200")
    namespace = one(objects, "Namespace")["metadata"]["name"]
    service = one(objects, "Service", "chameleon")["metadata"]["name"]
    for match in _SERIES.finditer(query):
        if match[2] is not None:
            assert f'namespace="{namespace}"' in match[2]
            assert f'job="{service}"' in match[2]


def test_queries_are_promql(tmp_path: Path) -> None:
    require(shutil.which("promtool") is not None, "promtool (Debian's prometheus)")
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "autoscaling", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_reasons_and_objectives_in_queries_are_those_that_are_written() -> None:
    text = " ".join([*expressions(), refused("5m")])
    assert set(re.findall(r'reason="(\w+)"', text)) == {"SESSION_CAPACITY"}
    source = (K8S.parents[1] / "service" / "core" / "core.py").read_text()
    assert '"SESSION_CAPACITY"' in source
    (objective,) = set(re.findall(r'objective="(\w+)"', text))
    groups = one(overlay("gke-h200"), "PrometheusRule")["spec"]["groups"]
    labels = {rule.get("labels", {}).get("objective") for group in groups for rule in group["rules"]}
    assert objective in labels


@pytest.mark.parametrize("name", GPU_OVERLAYS)
def test_ratios_scale_by_value(name: str) -> None:
    """AverageValue would divide a ratio by the pods, and ask for one or two pods for ever."""
    assert [entry["metricType"] for entry in triggers(name)] == ["Value"] * 3
    assert all(entry["metadata"]["ignoreNullValues"] == "false" for entry in triggers(name))
    scaled = one(overlay(name), "ScaledObject")["spec"]["scaleTargetRef"]["name"]
    assert scaled == one(overlay(name), "Deployment")["metadata"]["name"]


@pytest.mark.parametrize("name", [*GPU_OVERLAYS, "cpu", "hpa-tracing"])
def test_the_deployment_leaves_the_replicas_to_the_autoscaler(name: str) -> None:
    assert "replicas" not in one(overlay(name), "Deployment")["spec"]


def test_the_hpa_variant_is_the_same_autoscaler() -> None:
    """The same three questions, targets, bounds and pace as KEDA's."""
    hpa, keda = (
        one(overlay("hpa-tracing"), "HorizontalPodAutoscaler")["spec"],
        one(overlay("gke-h200"), "ScaledObject")["spec"],
    )
    assert not of_kind(overlay("hpa-tracing"), "ScaledObject")
    assert hpa["behavior"] == keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (keda["minReplicaCount"], keda["maxReplicaCount"])
    rules = {rule["name"]["as"]: rule["metricsQuery"] for rule in ADAPTER}
    asked = [metric["external"] for metric in hpa["metrics"]]
    queries = [rules[metric["metric"]["name"]] for metric in asked]
    assert queries == [entry["metadata"]["query"] for entry in keda["triggers"]]
    targets = [quantity(metric["target"]["value"]) for metric in asked]
    assert targets == [float(entry["metadata"]["threshold"]) for entry in keda["triggers"]]
    assert {metric["target"]["type"] for metric in asked} == {"Value"}


def test_the_autoscaler_adds_a_whole_node_at_once_and_removes_slowly() -> None:
    behavior = one(overlay("gke-h200"), "ScaledObject")["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    (deployment,) = of_kind(overlay("gke-h200"), "Deployment")
    grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert {"type": "Pods", "value": 8, "periodSeconds": 60} in behavior["scaleUp"]["policies"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] + 60 >= grace_s
