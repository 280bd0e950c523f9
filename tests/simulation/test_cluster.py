"""Nodes: ordered, bounded, and paid for from the order on."""

import random

import pytest

from simulation.clock import Clock
from simulation.cluster import Cluster
from simulation.fleet_pod import FleetPod
from simulation.scenario import NodeShape
from tests.simulation.small import SCENARIO
from tests.simulation.test_gateway import ScriptedPod


def test_a_node_is_paid_for_while_it_starts_and_no_more_are_ordered_than_there_may_be() -> None:
    clock, placed = Clock(), list[FleetPod]()
    shape = NodeShape.model_validate(SCENARIO["node"] | {"most": 3})
    cluster = Cluster(clock, shape, rng=random.Random(1), placed=placed.append)
    for number in range(10):
        cluster.place(FleetPod(number, 0, ScriptedPod()))  # type: ignore[arg-type]
    clock.run(until=20)
    assert (cluster.nodes, len(cluster.up), len(placed)) == (3, 0, 0)
    assert cluster.paid_node_s() == pytest.approx(3 * 20)
    clock.run(until=100)
    assert (cluster.nodes, len(placed)) == (3, 3 * shape.pods)
    assert cluster.paid_node_s() == pytest.approx(3 * 100)
