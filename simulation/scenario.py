"""A scenario: everything that a simulated day depends on, read from YAML and refused with all that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from simulation.profile import Closed, EngineProfile

Model = TypeVar("Model", bound=Closed)
Victims = Literal["by_node", "emptiest"]
"""Of the pods that serve: those with the most others on their node, or those with the fewest sessions, as a controller
could have it that sets `controller.kubernetes.io/pod-deletion-cost`."""
Share = Annotated[float, Field(gt=0.0, le=1.0)]


class ScenarioError(ValueError):
    """Everything that is wrong with an input file, one line each."""


class Peak(Closed):
    """A bell over the day: `sessions` more at `at_h`, `width_h` its standard deviation."""

    at_h: NonNegativeFloat
    sessions: PositiveFloat
    width_h: PositiveFloat


class Surge(Closed):
    """A campaign: from `at_h` on, `factor` times as many arrivals for `minutes`."""

    at_h: NonNegativeFloat
    factor: PositiveFloat
    minutes: PositiveFloat


class Demand(Closed):
    """Sessions that would be open at once if every one were let in; arrivals are Poisson."""

    base_sessions: PositiveFloat
    peaks: tuple[Peak, ...] = ()
    surges: tuple[Surge, ...] = ()
    median_s: PositiveFloat = Field(description="of a session's length, lognormal")
    sigma: NonNegativeFloat = Field(description="of the length's logarithm")
    max_s: PositiveFloat = Field(description="no session is longer")
    switches_per_minute: NonNegativeFloat


class Gateway(Closed):
    """Where a new session is sent: of `choices` random ready pods the one with the fewest sessions; `attempts` pods."""

    choices: PositiveInt
    attempts: PositiveInt
    patience_s: NonNegativeFloat = Field(description="how long a client goes on asking after refusals")


class PodShape(Closed):
    """`start_s`: from a place on a node to ready (image, weights, warm-up)."""

    blocks: PositiveInt
    start_s: PositiveFloat
    drain_grace_s: PositiveFloat


class NodeShape(Closed):
    """`start_s`: least and most time from the order to a node that takes pods. Paid from the order on."""

    pods: PositiveInt
    start_s: tuple[PositiveFloat, PositiveFloat]
    idle_s: NonNegativeFloat = Field(description="an empty node is given back after this")
    most: PositiveInt
    price_per_hour: PositiveFloat
    price_origin: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start_s[0] > self.start_s[1]:
            raise ValueError("start_s: the least comes first")
        return self


class Failures(Closed):
    """Mean hours between failures; null: none."""

    engine_mtbf_h: PositiveFloat | None = None
    engine_restart_s: PositiveFloat = 60.0
    node_mtbf_h: PositiveFloat | None = None


class Rollout(Closed):
    """A new version: `surge` pods more and `unavailable` fewer than asked for, as shares; both 0: one fewer."""

    at_h: NonNegativeFloat
    surge: Annotated[float, Field(ge=0.0, le=1.0)]
    unavailable: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Pace(Closed):
    """How much may change within a period: a share of the pods or a number of them, whichever is more."""

    percent: PositiveFloat
    pods: PositiveInt
    period_s: PositiveFloat


class Autoscaler(Closed):
    """What every policy shares: the HorizontalPodAutoscaler's behaviour and the age of its metrics.

    The defaults are those of deploy/k8s/components/keda.
    """

    sync_s: PositiveFloat = 15.0
    metric_age_s: NonNegativeFloat = 30.0
    window_s: PositiveFloat = Field(default=120.0, description="of rates and averages")
    tolerance: NonNegativeFloat = 0.1
    up: Pace = Field(default_factory=lambda: Pace(percent=50.0, pods=8, period_s=60.0))
    down: Pace = Field(default_factory=lambda: Pace(percent=10.0, pods=1, period_s=300.0))
    down_window_s: NonNegativeFloat = 600.0
    least_pods: PositiveInt
    most_pods: PositiveInt
    victims: Victims = Field(default="by_node", description="which pods a scale-down takes")


class Policy(Closed):
    """Targets of the signals that a policy looks at; the largest wish of them counts.

    Attributes:
        sessions: sessions over capacity.
        utilisation: share of time that the device computes.
        queue_s: mean wait of a step between runnable and running.
        slow: chunks with a real-time factor below 1, as a share of all.
        late: chunks sent after their playing time, as a share of all.
        rejected: refusals by pods, as a share of all answers.
        given_up: refusals by every pod that the gateway asked, as a share of all that were asked for.
        pods: a fixed number of pods and no signal.
        gateway: instead of the scenario's.
        victims: instead of the autoscaler's.

    `slow`, `late`, `rejected` and `given_up` are guards: beside `sessions` they lower its target, to half of it once
    they reach theirs; alone they ask for up to twice the pods.
    """

    sessions: Share | None = None
    utilisation: Share | None = None
    queue_s: PositiveFloat | None = None
    slow: Share | None = None
    late: Share | None = None
    rejected: Share | None = None
    given_up: Share | None = None
    pods: PositiveInt | None = None
    gateway: Gateway | None = None
    victims: Victims | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        signals = [name for name, target in self if target is not None and name not in ("gateway", "victims")]
        if not signals or ("pods" in signals and len(signals) > 1):
            raise ValueError("a policy has targets for signals, or a number of pods, not both and not neither")
        return self


class Objectives(Closed):
    """A session is good if it ends as its viewer wished and all of these hold."""

    first_frame_s: PositiveFloat = Field(default=2.0, description="from the first request")
    late_share: NonNegativeFloat = Field(default=0.01, description="of a session's chunks")
    switch_chunks: PositiveFloat = Field(default=2.0, description="from asking to the first chunk, in chunk lengths")


class Scenario(Closed):
    """One day (or part of one) and the policies to compare on it."""

    name: str = Field(min_length=1)
    seed: NonNegativeInt
    hours: Annotated[float, Field(gt=0.0, le=168.0)]
    pods_are: Literal["coarse", "exact"] = "coarse"
    profile: str = Field(description="an engine profile, relative to the scenario's file")
    demand: Demand
    gateway: Gateway
    pod: PodShape
    node: NodeShape
    failures: Failures = Failures()
    rollouts: tuple[Rollout, ...] = ()
    autoscaler: Autoscaler
    objectives: Objectives = Objectives()
    policies: Annotated[dict[str, Policy], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        scaler = self.autoscaler
        if scaler.least_pods > scaler.most_pods:
            raise ValueError("autoscaler: least_pods is above most_pods")
        if scaler.most_pods > self.node.most * self.node.pods:
            raise ValueError(
                f"autoscaler: most_pods needs {scaler.most_pods / self.node.pods:g} nodes; node.most is fewer"
            )
        return self


def read(path: Path) -> tuple[Scenario, EngineProfile]:
    """A scenario and the profile that it names.

    Raises:
        ScenarioError: a file cannot be read, is no YAML, or has fields that are wrong, all of them named.
    """
    scenario = _validated(Scenario, path)
    return scenario, _validated(EngineProfile, path.parent / scenario.profile)


def _validated(model: type[Model], path: Path) -> Model:
    try:
        return model.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, e['loc'])) or 'the whole'}: {e['msg']}" for e in error.errors()]
        raise ScenarioError("\n".join(lines)) from error
