"""A day of the fleet: books that balance, nodes, rollouts, failures, the same again for the same seed."""

from dataclasses import asdict
from typing import Any

import pytest

from simulation.curve import Figures, Start
from simulation.day import Day, simulate
from tests.simulation.small import make_profile, make_scenario

FINE = Figures(
    cost_s=0.28,
    utilisation=0.3,
    queue_s=0.01,
    chunks_per_s=1.0,
    late_per_s=0.0,
    slow_per_s=0.0,
    switch_late=0.0,
    starts=(Start(first_frame_s=0.4, late=0),),
)
CURVE = (FINE,) * 4
"""A pod of three blocks that never has trouble."""


def day(policy: str = "sessions", **changes: Any) -> Day:
    scenario = make_scenario(**{"hours": 2.0, "demand": {"base_sessions": 20}, "pod": {"drain_grace_s": 300}} | changes)
    return simulate(scenario, make_profile(), policy, scenario.policies[policy], CURVE)


def test_every_session_is_turned_away_open_or_over() -> None:
    books = day(failures={"engine_mtbf_h": 1, "node_mtbf_h": 10}, rollouts=[{"at_h": 1, "surge": 0.5}]).books
    open_at_the_end = books.admitted - books.completed - books.drained - books.lost
    asking_at_the_end = books.asked - books.turned_away - books.admitted
    assert books.asked > 1000
    assert 0 <= open_at_the_end <= 40
    assert 0 <= asking_at_the_end <= 2
    assert books.lost > 0


def test_the_same_seed_gives_the_same_day() -> None:
    changes: dict[str, Any] = {"failures": {"engine_mtbf_h": 2, "node_mtbf_h": 20}}
    assert asdict(day(**changes)) == asdict(day(**changes))


def test_the_autoscaler_follows_and_turns_away_fewer_than_a_fleet_of_the_first_size() -> None:
    fixed = day("least", policies={"least": {"pods": 2}})
    followed = day()
    assert followed.books.turned_away < 0.5 * fixed.books.turned_away
    assert max(moment.ready for moment in followed.timeline) > 6


def test_nodes_are_paid_from_the_order_and_given_back_when_empty() -> None:
    calm = day(demand={"base_sessions": 1, "surges": [{"at_h": 0.5, "factor": 25, "minutes": 20}]})
    nodes = [moment.nodes for moment in calm.timeline]
    assert nodes[0] == 1
    assert max(nodes) > 3
    assert nodes[-1] < max(nodes)
    assert calm.paid_node_s == pytest.approx(60 * sum(nodes), rel=0.1)


@pytest.mark.parametrize(("pods", "unavailable"), [(4, 0.1), (7, 0.25)])
def test_a_rollout_without_a_pod_more_or_two_whole_ones_fewer_goes_one_by_one(pods: int, unavailable: float) -> None:
    rollout = {"at_h": 0.25, "surge": 0.0, "unavailable": unavailable}
    rolled = day("fixed", policies={"fixed": {"pods": pods}}, rollouts=[rollout])
    ready = [moment.ready for moment in rolled.timeline[15:]]
    assert min(ready) == pods - 1
    assert ready[-1] == pods, "and comes to its end"


def test_a_part_of_a_pod_more_is_a_whole_one() -> None:
    rolled = day("fixed", policies={"fixed": {"pods": 3}}, rollouts=[{"at_h": 0.25, "surge": 0.1}])
    assert min(moment.ready for moment in rolled.timeline[15:]) == 3


def test_a_rollout_replaces_every_pod_and_interrupts_nobody_whose_session_is_shorter_than_the_grace() -> None:
    rolled = day("fixed", policies={"fixed": {"pods": 8}}, rollouts=[{"at_h": 1, "surge": 0.25}])
    assert rolled.books.drained == 0
    assert rolled.books.turned_away / rolled.books.asked < 0.5
    assert 5 <= max(moment.nodes for moment in rolled.timeline) <= 8, "room for the new ones beside those that drain"
    assert rolled.timeline[-1].nodes <= 5, "of 4 that would do: nodes that are not empty stay"


def test_a_grace_shorter_than_sessions_interrupts_them() -> None:
    rolled = day(
        "fixed", policies={"fixed": {"pods": 8}}, rollouts=[{"at_h": 1, "surge": 0.25}], pod={"drain_grace_s": 5}
    )
    assert rolled.books.drained > 5


def test_an_engine_that_fails_loses_sessions_or_stalls_them() -> None:
    failures = {"failures": {"engine_mtbf_h": 1, "engine_restart_s": 10}}
    stalled = day(**failures).books
    assert stalled.stalled > 0
    assert stalled.lost == 0
    scenario = make_scenario(hours=2.0, demand={"base_sessions": 20}, **failures)
    forgetful = make_profile(keeps_sessions=False)
    lost = simulate(scenario, forgetful, "sessions", scenario.policies["sessions"], CURVE).books
    assert lost.lost > 0
    assert lost.stalled == 0


def test_full_pods_refuse_and_another_is_asked() -> None:
    once = day("fixed", gateway={"attempts": 1})
    thrice = day("fixed", gateway={"attempts": 3})
    assert thrice.books.turned_away < once.books.turned_away
