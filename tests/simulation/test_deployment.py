"""Which pods a scale-down takes."""

import random

import pytest

from simulation.clock import Clock
from simulation.cluster import Cluster
from simulation.coarse import CoarseBackend
from simulation.demand import Visit
from simulation.deployment import Deployment
from simulation.fleet_pod import Stay
from simulation.scenario import NodeShape, PodShape
from tests.simulation.small import SCENARIO
from tests.simulation.test_day import CURVE


def deployment(victims: str) -> Deployment:
    """Pods 1 to 5 on nodes of two, all ready: 5, the newest, is alone on its node."""
    clock = Clock()
    backend = CoarseBackend(CURVE, chunk_s=1.0, seed=1)
    shape = PodShape.model_validate(SCENARIO["pod"])
    made = Deployment(clock, backend, shape, victims=victims, interrupted=lambda *_: None)
    node = NodeShape.model_validate(SCENARIO["node"])
    made.cluster = Cluster(clock, node, rng=random.Random(1), placed=made.placed)
    made.cluster.start_ready(3)
    made.scale(5)
    clock.run(until=100)
    assert len(made.ready) == 5
    return made


def occupy(made: Deployment, *numbers: int) -> None:
    for number in numbers:
        pod = made.pods[number]
        visit = Visit(number=number, at_s=0.0, length_s=60.0, switches_s=())
        assert pod.engine.open(visit, 100.0) is None
        pod.stays[number] = Stay(visit, 100.0, 100.0, pod)


@pytest.mark.parametrize(("victims", "left"), [("by_node", {1, 2, 3, 5}), ("emptiest", {1, 2, 4, 5})])
def test_a_pod_that_has_another_beside_it_goes_before_a_newer_one_that_is_alone(victims: str, left: set[int]) -> None:
    """As Kubernetes ranks them; a deletion cost, here the sessions, comes before that."""
    made = deployment(victims)
    occupy(made, 1, 2, 4, 5)
    made.scale(4)
    assert made.pods.keys() == left


def test_a_pod_without_a_node_goes_before_one_that_starts_and_that_before_one_that_serves() -> None:
    made = deployment("by_node")
    made.scale(7)  # a sixth finds room beside the fifth, the seventh waits for a node
    made.scale(6)
    assert made.pods.keys() == {1, 2, 3, 4, 5, 6}
    made.scale(5)
    assert made.pods.keys() == {1, 2, 3, 4, 5}
