"""The Deployment: as many pods as asked for, of the newest version, and how they come and go."""

from __future__ import annotations

import math
from collections.abc import Callable

from simulation.clock import Clock
from simulation.cluster import Cluster, Node
from simulation.fleet_pod import FleetPod, PodState, Stay
from simulation.pods import Backend
from simulation.scenario import PodShape


class Deployment:
    """`pods` are those that count for the Deployment (not draining); `ready` may take sessions."""

    def __init__(
        self,
        clock: Clock,
        backend: Backend,
        shape: PodShape,
        *,
        victims: str,
        interrupted: Callable[[Stay, str], None],
    ) -> None:
        self._clock, self._backend, self._shape = clock, backend, shape
        self._victims, self._interrupted = victims, interrupted
        self.cluster: Cluster
        self.replicas = 0
        self.pods: dict[int, FleetPod] = {}
        self.draining: dict[int, FleetPod] = {}
        self.ready: list[FleetPod] = []
        self._version = 0
        self._surge, self._unavailable = 1.0, 0.0
        self._count = 0

    def scale(self, replicas: int) -> None:
        self.replicas = replicas
        self.reconcile()

    def roll_out(self, *, surge: float, unavailable: float) -> None:
        self._version += 1
        self._surge, self._unavailable = surge, unavailable
        self.reconcile()

    def reconcile(self) -> None:
        old = [pod for pod in self.pods.values() if pod.version != self._version]
        if not old:
            self._create(self.replicas - len(self.pods))
            self._remove(list(self.pods.values()), len(self.pods) - self.replicas)
            return
        more, fewer = math.ceil(self._surge * self.replicas), math.floor(self._unavailable * self.replicas)
        fewer = fewer if more or fewer else 1  # as Kubernetes does, or nothing would move
        self._create_new(most=self.replicas + more)
        waiting = [pod for pod in old if pod.state is not PodState.READY]
        spare = len(self.ready) - (self.replicas - fewer)
        self._remove(old, len(waiting) + max(0, spare))
        self._create_new(most=self.replicas + more)  # one that drains does not count

    def placed(self, pod: FleetPod) -> None:
        """It has a node: image, weights and warm-up follow."""
        pod.state = PodState.STARTING
        self._clock.after(self._shape.start_s, lambda: self._started(pod))

    def left(self, stay: Stay) -> None:
        """A session is over; a draining pod that has none left ends."""
        pod = stay.pod
        del pod.stays[stay.visit.number]
        if pod.state is PodState.DRAINING and not pod.stays:
            self._gone(pod)

    def node_failed(self, node: Node) -> None:
        for pod in self.cluster.fail(node):
            self._leave_ready(pod)
            self.pods.pop(pod.number, None)
            self.draining.pop(pod.number, None)
            pod.state = PodState.GONE
            for stay in tuple(pod.stays.values()):
                self._interrupted(stay, "lost")
            pod.engine.serve(False)
        self.reconcile()

    # Inside

    def _create_new(self, *, most: int) -> None:
        new = sum(pod.version == self._version for pod in self.pods.values())
        self._create(min(most - len(self.pods), self.replicas - new))

    def _create(self, count: int) -> None:
        for _ in range(count):
            self._count += 1
            pod = FleetPod(self._count, self._version, self._backend.pod())
            self.pods[pod.number] = pod
            self.cluster.place(pod)

    def _started(self, pod: FleetPod) -> None:
        if pod.state is not PodState.STARTING:
            return
        pod.state = PodState.READY
        pod.ready_s = self._clock.now
        pod.place = len(self.ready)
        self.ready.append(pod)
        pod.engine.serve(True)
        oldest = next(iter(self.pods.values()))
        if oldest.version != self._version:  # a rollout is under way
            self.reconcile()

    def _remove(self, among: list[FleetPod], count: int) -> None:
        """As the ReplicaSet does: first those without a node, or that do not serve yet; then by deletion cost, if pods
        have one; then those with the most others on their node; then the newest."""
        if count <= 0:
            return
        beside = self.cluster.beside(self.pods.values())

        def rank(pod: FleetPod) -> tuple[float, ...]:
            cost = len(pod.stays) if self._victims == "emptiest" else 0
            return pod.state.value, cost, -beside[pod.number], -pod.ready_s, -pod.number

        for pod in sorted(among, key=rank)[:count]:
            self._end(pod)

    def _end(self, pod: FleetPod) -> None:
        del self.pods[pod.number]
        self._leave_ready(pod)
        if not pod.stays:
            self._gone(pod)
            return
        pod.state = PodState.DRAINING
        self.draining[pod.number] = pod
        self._clock.after(self._shape.drain_grace_s, lambda: self._grace_over(pod))

    def _grace_over(self, pod: FleetPod) -> None:
        if pod.state is PodState.DRAINING:
            for stay in tuple(pod.stays.values()):
                self._interrupted(stay, "drained")

    def _gone(self, pod: FleetPod) -> None:
        self.draining.pop(pod.number, None)
        pod.state = PodState.GONE
        pod.engine.serve(False)
        self.cluster.withdraw(pod)

    def _leave_ready(self, pod: FleetPod) -> None:
        if pod.state is not PodState.READY:
            return
        last = self.ready.pop()
        if last is not pod:
            self.ready[pod.place] = last
            last.place = pod.place
