"""One policy over one day: composes the fleet, runs it, and says what came of it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from simulation import curve
from simulation.autoscaler import HorizontalPodAutoscaler
from simulation.clock import Clock, Process
from simulation.cluster import Cluster
from simulation.coarse import CoarseBackend
from simulation.curve import Figures
from simulation.demand import visits
from simulation.deployment import Deployment
from simulation.disturbances import Disturbances
from simulation.exact import ExactBackend
from simulation.gateway import Books, Viewers
from simulation.pods import Backend
from simulation.profile import EngineProfile
from simulation.scenario import Policy, Scenario

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The fleet at a minute of the day; `turned_away` during the minute before."""

    at_s: float
    sessions: int
    ready: int
    wanted: int
    nodes: int
    turned_away: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a policy cost and what it missed."""

    policy: str
    books: Books
    timeline: tuple[Moment, ...]
    paid_node_s: float
    pods_per_node: int
    price_per_hour: float
    engines_failed: int
    nodes_failed: int
    utilisation: float
    """Of pods that serve, over the day."""

    @property
    def session_minutes(self) -> float:
        return self.books.watched_s / _MINUTE_S

    @property
    def cost_per_session_minute(self) -> float:
        """In the price's currency; infinite if nobody watched."""
        cost = self.paid_node_s / 3600.0 * self.price_per_hour
        return cost / self.session_minutes if self.session_minutes else math.inf

    @property
    def pod_minutes_per_session_minute(self) -> float:
        """Paid places for pods, used or not, for each minute that a session was open."""
        places = self.paid_node_s / _MINUTE_S * self.pods_per_node
        return places / self.session_minutes if self.session_minutes else math.inf


def switch_limit_s(scenario: Scenario, profile: EngineProfile) -> float:
    return scenario.objectives.switch_chunks * profile.chunk_s


def load_curve(scenario: Scenario, profile: EngineProfile) -> tuple[Figures, ...]:
    """The pod's curve for this scenario: measured once, used for every policy."""
    return curve.measure(
        profile,
        scenario.demand,
        blocks=scenario.pod.blocks,
        switch_limit_s=switch_limit_s(scenario, profile),
        seed=scenario.seed,
    )


def simulate(
    scenario: Scenario, profile: EngineProfile, name: str, policy: Policy, figures: tuple[Figures, ...] | None
) -> Day:
    """Run one policy. `figures` is the pod's curve; None: every pod is exact."""
    # The first pods start before the day does.
    clock, seed = Clock(-scenario.pod.start_s), scenario.seed
    backend = _backend(scenario, profile, figures)
    deployment = Deployment(
        clock,
        backend,
        scenario.pod,
        victims=policy.victims or scenario.autoscaler.victims,
        interrupted=lambda stay, why: viewers.interrupted(stay, why),
    )
    viewers = Viewers(
        clock,
        policy.gateway or scenario.gateway,
        scenario.objectives,
        rng=random.Random(f"{seed} gateway"),
        deployment=deployment,
    )
    cluster = Cluster(clock, scenario.node, rng=random.Random(f"{seed} nodes"), placed=deployment.placed)
    deployment.cluster = cluster
    disturbances = Disturbances(
        clock,
        scenario.failures,
        keeps_sessions=profile.keeps_sessions,
        rng=random.Random(f"{seed} failures"),
        deployment=deployment,
        viewers=viewers,
    )
    scaler = HorizontalPodAutoscaler(
        clock,
        scenario.autoscaler,
        policy,
        backend=backend,
        deployment=deployment,
        books=viewers.books,
    )
    first = policy.pods or scenario.autoscaler.least_pods
    cluster.start_ready(-(-first // scenario.node.pods))
    deployment.scale(first)
    timeline: list[Moment] = []
    clock.process(viewers.come(visits(scenario.demand, hours=scenario.hours, seed=seed)))
    clock.process(scaler.run())
    clock.process(_observe(clock, deployment, viewers, timeline))
    _disturb(clock, scenario, disturbances)
    clock.run(until=scenario.hours * 3600.0)
    return Day(
        policy=name,
        books=viewers.books,
        timeline=tuple(timeline),
        paid_node_s=cluster.paid_node_s(),
        pods_per_node=scenario.node.pods,
        price_per_hour=scenario.node.price_per_hour,
        engines_failed=disturbances.engines_failed,
        nodes_failed=disturbances.nodes_failed,
        utilisation=scaler.mean_utilisation,
    )


def _backend(scenario: Scenario, profile: EngineProfile, figures: tuple[Figures, ...] | None) -> Backend:
    if figures is None:
        limit_s = switch_limit_s(scenario, profile)
        return ExactBackend(profile, blocks=scenario.pod.blocks, switch_limit_s=limit_s)
    return CoarseBackend(figures, chunk_s=profile.chunk_s, seed=scenario.seed)


def _disturb(clock: Clock, scenario: Scenario, disturbances: Disturbances) -> None:
    if scenario.failures.engine_mtbf_h is not None:
        clock.process(disturbances.engines(scenario.failures.engine_mtbf_h))
    if scenario.failures.node_mtbf_h is not None:
        clock.process(disturbances.nodes(scenario.failures.node_mtbf_h))
    for rollout in scenario.rollouts:
        clock.after(rollout.at_h * 3600.0 - clock.now, lambda rollout=rollout: disturbances.roll_out(rollout))  # type: ignore[misc]


def _observe(clock: Clock, deployment: Deployment, viewers: Viewers, timeline: list[Moment]) -> Process:
    """A simpy process: one look a minute."""
    turned_away = 0
    yield clock.timeout(-clock.now)
    while True:
        yield clock.timeout(_MINUTE_S)
        books = viewers.books
        timeline.append(
            Moment(
                at_s=clock.now,
                sessions=books.admitted - books.completed - books.drained - books.lost,
                ready=len(deployment.ready),
                wanted=deployment.replicas,
                nodes=deployment.cluster.nodes,
                turned_away=books.turned_away - turned_away,
            )
        )
        turned_away = books.turned_away
