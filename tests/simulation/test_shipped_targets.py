"""What was simulated as shipped is what deploy/k8s asks for."""

import re
from pathlib import Path

import pytest
import yaml

from simulation.scenario import Pace, Policy, read

ROOT = Path(__file__).parents[2]
COMPONENTS = ROOT / "deploy" / "k8s" / "components"
KEDA = yaml.safe_load((COMPONENTS / "keda" / "scaled_object.yaml").read_text())["spec"]
SCENARIO, _ = read(ROOT / "simulation" / "scenarios" / "h200-day.yaml")
SHIPPED, _ = read(ROOT / "simulation" / "scenarios" / "h200-shipped.yaml")
POLICIES = [*SCENARIO.policies.items(), *SHIPPED.policies.items()]


@pytest.mark.parametrize("policy", [policy for name, policy in POLICIES if name.startswith("as shipped")])
def test_targets_and_limits_are_those_of_the_scaled_object(policy: Policy) -> None:
    limits = [re.findall(r", ([0-9.]+)\) / \1\)$", entry["metadata"]["query"].strip()) for entry in KEDA["triggers"]]
    assert {float(entry["metadata"]["threshold"]) for entry in KEDA["triggers"]} == {policy.sessions}
    assert [[float(limit) for limit in found] for found in limits] == [[], [policy.slow], [policy.given_up]]


def test_bounds_rollout_drain_and_gateway_are_those_of_the_manifests() -> None:
    assert (SHIPPED.autoscaler.least_pods, SHIPPED.autoscaler.most_pods) == (
        KEDA["minReplicaCount"],
        KEDA["maxReplicaCount"],
    )
    deployment = yaml.safe_load((COMPONENTS / "gpu" / "deployment.yaml").read_text())["spec"]
    rolling = deployment["strategy"]["rollingUpdate"]
    (rollout,) = SHIPPED.rollouts
    assert (rollout.surge, f"{rollout.unavailable:.0%}") == (rolling["maxSurge"], rolling["maxUnavailable"])
    settings = (COMPONENTS / "gpu" / "kustomization.yaml").read_text()
    assert f"CHAMELEON_DRAIN_GRACE_S={SHIPPED.pod.drain_grace_s:g}\n" in settings
    assert f"CHAMELEON_BLOCKS={SHIPPED.pod.blocks}\n" in settings
    policies = yaml.safe_load_all((COMPONENTS / "gateway-envoy" / "policies.yaml").read_text())
    (opening,) = [item["spec"] for item in policies if "retry" in item["spec"]]
    assert SHIPPED.gateway.attempts == 1 + opening["retry"]["numRetries"]
    assert SHIPPED.gateway.choices == 1, "the route of CreateSession has no open calls to compare pods by"


def test_the_pace_is_that_of_the_scaled_object() -> None:
    behavior = KEDA["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]

    def pace(direction: str) -> Pace:
        by_type = {policy["type"]: policy for policy in behavior[direction]["policies"]}
        (period_s,) = {policy["periodSeconds"] for policy in by_type.values()}
        return Pace(percent=by_type["Percent"]["value"], pods=by_type["Pods"]["value"], period_s=period_s)

    assert SHIPPED.autoscaler.model_dump(exclude={"least_pods", "most_pods"}) == SCENARIO.autoscaler.model_dump(
        exclude={"least_pods", "most_pods"}
    )
    scaler = SCENARIO.autoscaler
    assert (pace("scaleUp"), pace("scaleDown")) == (scaler.up, scaler.down)
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == scaler.down_window_s
    assert KEDA["pollingInterval"] == scaler.sync_s
