"""A small fleet on round step times."""

from typing import Any

from simulation.profile import EngineProfile
from simulation.scenario import Scenario

PROFILE: dict[str, Any] = {
    "name": "test engine",
    "origin": "computed floor, not measured",
    "source": "made up",
    "student": "embedded",
    "times": {"open_s": 0.02, "encode_s": 0.01, "prefill_s": 0.02, "pass_s": 0.02, "decode_s": 0.28},
    "one_device": False,
    "keeps_sessions": True,
}
ONE_GPU: dict[str, Any] = {
    "student": "5b",
    "one_device": True,
    "keeps_sessions": False,
    "times": {"open_s": 0.02, "encode_s": 0.003, "prefill_s": 0.011, "pass_s": 0.0273, "decode_s": 0.126},
}
SCENARIO: dict[str, Any] = {
    "name": "test day",
    "seed": 1,
    "hours": 0.4,
    "profile": "profile.yaml",
    "demand": {"base_sessions": 9, "median_s": 60, "sigma": 0.5, "max_s": 240, "switches_per_minute": 1},
    "gateway": {"choices": 2, "attempts": 2, "patience_s": 5},
    "pod": {"blocks": 3, "start_s": 20, "drain_grace_s": 60},
    "node": {
        "pods": 2,
        "start_s": [30, 60],
        "idle_s": 120,
        "most": 10,
        "price_per_hour": 2.0,
        "price_origin": "made up",
    },
    "autoscaler": {"least_pods": 2, "most_pods": 12},
    "policies": {"sessions": {"sessions": 0.7}, "fixed": {"pods": 4}},
}


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with some values replaced; dictionaries inside are merged, but for the policies."""
    merged = dict(base)
    for key, value in changes.items():
        inner = isinstance(value, dict) and key != "policies"
        merged[key] = merged.get(key, {}) | value if inner else value
    return merged


def make_profile(**changes: Any) -> EngineProfile:
    return EngineProfile.model_validate(changed(PROFILE, changes))


def make_scenario(**changes: Any) -> Scenario:
    return Scenario.model_validate(changed(SCENARIO, changes))
