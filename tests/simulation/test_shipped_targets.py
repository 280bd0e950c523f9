"""What was simulated as shipped is what deploy/k8s asks for."""

import re
from pathlib import Path

import pytest
import yaml

from simulation.scenario import Pace, read

ROOT = Path(__file__).parents[2]
KEDA = yaml.safe_load((ROOT / "deploy" / "k8s" / "components" / "keda" / "scaled_object.yaml").read_text())["spec"]
SCENARIO, _ = read(ROOT / "simulation" / "scenarios" / "h200-day.yaml")


@pytest.mark.parametrize("name", [name for name in SCENARIO.policies if name.startswith("as shipped")])
def test_targets_and_limits_are_those_of_the_scaled_object(name: str) -> None:
    policy = SCENARIO.policies[name]
    limits = [re.findall(r", ([0-9.]+)\) / \1\)$", entry["metadata"]["query"].strip()) for entry in KEDA["triggers"]]
    assert {float(entry["metadata"]["threshold"]) for entry in KEDA["triggers"]} == {policy.sessions}
    assert [[float(limit) for limit in found] for found in limits] == [[], [policy.slow], [policy.rejected]]


def test_the_pace_is_that_of_the_scaled_object() -> None:
    behavior = KEDA["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]

    def pace(direction: str) -> Pace:
        by_type = {policy["type"]: policy for policy in behavior[direction]["policies"]}
        (period_s,) = {policy["periodSeconds"] for policy in by_type.values()}
        return Pace(percent=by_type["Percent"]["value"], pods=by_type["Pods"]["value"], period_s=period_s)

    scaler = SCENARIO.autoscaler
    assert (pace("scaleUp"), pace("scaleDown")) == (scaler.up, scaler.down)
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == scaler.down_window_s
    assert KEDA["pollingInterval"] == scaler.sync_s
