"""The coarse pod held against the exact core: the same viewers, the same gateway, the same policy.

Stated tolerances, in percentage points of the sessions that asked: 3 for sessions turned away, 8 for sessions with too
many late chunks where pods keep up and 12 where they do not. Chunks made: 5 %.
"""

from dataclasses import replace
from typing import Any

import pytest

from simulation.coarse import CoarseBackend
from simulation.curve import Figures
from simulation.day import Day, load_curve, simulate
from simulation.results import shares
from tests.simulation.small import ONE_GPU, make_profile, make_scenario
from tests.simulation.test_day import FINE


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


def test_a_fleets_waits_and_shares_are_those_of_its_chunks() -> None:
    """Two pods of one session and one of three: the curve's figures, each as often as chunks are made there."""

    def at(sessions: int) -> Figures:
        return replace(FINE, queue_s=0.01 * sessions, late_per_s=0.1 * (sessions == 3), slow_per_s=0.2)

    backend = CoarseBackend((FINE, at(1), at(2), at(3)), chunk_s=1.0, seed=1)
    backend.pods_with.update({1: 2, 3: 1})
    load = backend.load(0.0)
    assert (load.pods, load.sessions) == (3, 5)
    assert (load.queue_s, load.late, load.slow) == pytest.approx(((2 * 0.01 + 3 * 0.03) / 5, 0.3 / 5, 0.2))
