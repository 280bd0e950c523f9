"""What goes wrong, and what is done on purpose: engines and nodes that fail, new versions."""

from __future__ import annotations

import random

from simulation.clock import Clock, Process
from simulation.deployment import Deployment
from simulation.fleet_pod import FleetPod, PodState, Stay
from simulation.gateway import Viewers
from simulation.scenario import Failures, Rollout

_LEAST_RATE_S = 3600.0


class Disturbances:
    def __init__(
        self,
        clock: Clock,
        failures: Failures,
        *,
        keeps_sessions: bool,
        rng: random.Random,
        deployment: Deployment,
        viewers: Viewers,
    ) -> None:
        self._clock, self._failures, self._keeps_sessions, self._rng = clock, failures, keeps_sessions, rng
        self._deployment, self._viewers = deployment, viewers
        self.engines_failed = self.nodes_failed = 0

    def engines(self, mtbf_h: float) -> Process:
        """A simpy process: each ready pod's engine fails now and then."""
        while True:
            ready = self._deployment.ready
            mean_s = mtbf_h * 3600.0 / len(ready) if ready else _LEAST_RATE_S
            yield self._clock.timeout(self._rng.expovariate(1.0 / mean_s))
            if ready:
                self._engine_fails(ready[int(self._rng.random() * len(ready))])

    def nodes(self, mtbf_h: float) -> Process:
        """A simpy process: each node fails now and then, with all that is on it."""
        while True:
            up = self._deployment.cluster.up
            mean_s = mtbf_h * 3600.0 / len(up) if up else _LEAST_RATE_S
            yield self._clock.timeout(self._rng.expovariate(1.0 / mean_s))
            if up := self._deployment.cluster.up:
                self.nodes_failed += 1
                self._deployment.node_failed(self._rng.choice(up))

    def roll_out(self, rollout: Rollout) -> None:
        self._deployment.roll_out(surge=rollout.surge, unavailable=rollout.unavailable)

    def _engine_fails(self, pod: FleetPod) -> None:
        self.engines_failed += 1
        pod.engine.engine_down(self._clock.now)
        stays: list[Stay] = list(pod.stays.values())
        for stay in stays:
            if self._keeps_sessions:
                stay.stalled = True
            else:
                self._viewers.interrupted(stay, "lost")
        self._clock.after(self._failures.engine_restart_s, lambda: self._engine_is_back(pod))

    def _engine_is_back(self, pod: FleetPod) -> None:
        if pod.state is not PodState.GONE:
            pod.engine.engine_up(self._clock.now)
