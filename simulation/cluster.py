"""Nodes: ordered when pods find no place, given back when they stand empty, paid for in between."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable

from simulation.clock import Clock
from simulation.fleet_pod import FleetPod
from simulation.scenario import NodeShape


class Node:
    """Places for pods."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pods: dict[int, FleetPod] = {}
        self.empty_since_s = 0.0


class Cluster:
    """Fills the fullest node that has room, so that others become empty."""

    def __init__(
        self, clock: Clock, shape: NodeShape, *, rng: random.Random, placed: Callable[[FleetPod], None]
    ) -> None:
        self._clock, self._shape, self._rng, self._placed = clock, shape, rng, placed
        self._pending: deque[FleetPod] = deque()
        self._with_room: list[dict[int, Node]] = [{} for _ in range(shape.pods + 1)]
        self._where: dict[int, Node] = {}
        self._count = 0
        self._starting = 0
        self._up: dict[int, Node] = {}
        self._paid_s = 0.0
        self._paid_until_s = clock.now

    @property
    def nodes(self) -> int:
        """Paid for: up or starting."""
        return len(self._up) + self._starting

    @property
    def up(self) -> list[Node]:
        return list(self._up.values())

    def beside(self, pods: Iterable[FleetPod]) -> dict[int, int]:
        """Pod number -> how many of these pods are on its node, itself included; 0 without a node."""
        places = {pod.number: self._where.get(pod.number) for pod in pods}
        counts = Counter(places.values())
        return {number: 0 if node is None else counts[node] for number, node in places.items()}

    def paid_node_s(self) -> float:
        self._account()
        return self._paid_s

    def place(self, pod: FleetPod) -> None:
        self._pending.append(pod)
        self._schedule()

    def withdraw(self, pod: FleetPod) -> None:
        """The pod is no more: from its node, or from those that wait for one."""
        node = self._where.pop(pod.number, None)
        if node is None:
            self._pending.remove(pod)
            return
        self._move(node, lambda: node.pods.pop(pod.number))
        self._schedule()
        if not node.pods:
            self._empty(node)

    def fail(self, node: Node) -> list[FleetPod]:
        """The node is gone at once; its pods are handed to the caller."""
        self._forget(node)
        lost = list(node.pods.values())
        for pod in lost:
            del self._where[pod.number]
        return lost

    def start_ready(self, nodes: int) -> None:
        """Nodes that are there when the day begins."""
        for _ in range(nodes):
            self._account()
            self._starting += 1
            self._arrived()

    # Inside

    def _schedule(self) -> None:
        while self._pending:
            node = next((n for nodes in self._with_room[1:] for n in nodes.values()), None)
            if node is None:
                break
            pod = self._pending.popleft()
            self._move(node, lambda n=node, p=pod: n.pods.__setitem__(p.number, p))  # type: ignore[misc]
            self._where[pod.number] = node
            self._placed(pod)
        missing = -(-len(self._pending) // self._shape.pods) - self._starting
        for _ in range(min(missing, self._shape.most - self.nodes)):
            self._account()
            self._starting += 1
            self._clock.after(self._rng.uniform(*self._shape.start_s), self._arrived)

    def _arrived(self) -> None:
        self._starting -= 1
        self._count += 1
        node = Node(self._count)
        self._up[node.number] = node
        self._with_room[self._shape.pods][node.number] = node
        self._schedule()
        if not node.pods:
            self._empty(node)

    def _move(self, node: Node, change: Callable[[], object]) -> None:
        del self._with_room[self._shape.pods - len(node.pods)][node.number]
        change()
        self._with_room[self._shape.pods - len(node.pods)][node.number] = node

    def _empty(self, node: Node) -> None:
        node.empty_since_s = since_s = self._clock.now

        def give_back() -> None:
            if node.number in self._up and not node.pods and node.empty_since_s == since_s:
                self._forget(node)

        self._clock.after(self._shape.idle_s, give_back)

    def _forget(self, node: Node) -> None:
        self._account()
        del self._up[node.number]
        del self._with_room[self._shape.pods - len(node.pods)][node.number]

    def _account(self) -> None:
        self._paid_s += self.nodes * (self._clock.now - self._paid_until_s)
        self._paid_until_s = self._clock.now
