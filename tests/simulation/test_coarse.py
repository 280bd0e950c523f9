"""The coarse pod held against the exact core: the same viewers, the same gateway, the same policy.

Stated tolerances, in percentage points of the sessions that asked: 3 for sessions turned away, 8 for sessions with too
many late chunks where pods keep up and 12 where they do not. Chunks made: 5 %.
"""

from typing import Any

import pytest

from simulation.day import Day, load_curve, simulate
from simulation.results import shares
from tests.simulation.small import ONE_GPU, make_profile, make_scenario


def both(profile_changes: dict[str, Any], scenario_changes: dict[str, Any]) -> tuple[Day, Day]:
    scenario, profile = make_scenario(**scenario_changes), make_profile(**profile_changes)
    ((name, policy),) = scenario.policies.items()
    curve = load_curve(scenario, profile)
    return simulate(scenario, profile, name, policy, None), simulate(scenario, profile, name, policy, curve)


@pytest.mark.parametrize(
    ("profile_changes", "scenario_changes", "late_points"),
    [
        pytest.param({}, {"policies": {"p": {"sessions": 0.7}}}, 8, id="autoscaled"),
        pytest.param(
            {},
            {"pod": {"blocks": 6}, "demand": {"base_sessions": 16}, "policies": {"p": {"pods": 3}}},
            8,
            id="more than the pods keep up with, and more blocks than that",
        ),
        pytest.param(
            ONE_GPU,
            {"hours": 0.2, "pod": {"blocks": 2}, "demand": {"base_sessions": 6}, "policies": {"p": {"pods": 4}}},
            12,
            id="blocks for two sessions on a device that keeps up with one",
        ),
    ],
)
def test_coarse_pods_refuse_and_miss_as_the_exact_core_does(
    profile_changes: dict[str, Any], scenario_changes: dict[str, Any], late_points: float
) -> None:
    exact, coarse = both(profile_changes, scenario_changes)
    assert exact.books.asked == coarse.books.asked > 50
    assert shares(coarse)["turned_away"] == pytest.approx(shares(exact)["turned_away"], abs=0.03)
    assert shares(coarse)["late_missed"] == pytest.approx(shares(exact)["late_missed"], abs=late_points / 100)
    assert shares(coarse)["first_frame_missed"] == pytest.approx(shares(exact)["first_frame_missed"], abs=0.03)
    assert coarse.books.chunks == pytest.approx(exact.books.chunks, rel=0.05)
    assert coarse.paid_node_s == pytest.approx(exact.paid_node_s, rel=0.15)
    assert coarse.utilisation == pytest.approx(exact.utilisation, rel=0.15)
