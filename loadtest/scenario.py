"""A scenario: what is asked of the service, and what counts as good. Read from YAML, refused with all that is wrong.

All times count in seconds from the run's start unless a field says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import yaml
from pydantic import Field, ValidationError, model_validator

from loadtest import arrivals, trace
from loadtest.model import Model
from loadtest.objectives import MetricObjective, Objectives, windows_of
from loadtest.traffic import Kind, Name, Seconds

SHIPPED = Path(__file__).parent / "scenarios"


class ScenarioError(ValueError):
    """All that is wrong with a scenario, one line each."""


class Tenant(Model):
    """Who asks. The token is read from the environment, never from a file that is committed."""

    name: Name
    token_env: str | None = Field(default=None, description="the variable that holds the tenant's bearer token")
    weight: float = Field(default=1.0, gt=0)


class Player(Model):
    """The player of every session: what it waits for before it plays, and before it plays on after a stall."""

    start_buffer_s: float = Field(default=1.0, ge=0, le=60)
    resume_buffer_s: float = Field(default=1.0, ge=0, le=60)


class Patience(Model):
    """When a session counts as failed."""

    open_s: Seconds = 10.0
    chunk_s: Seconds = Field(default=10.0, description="without a chunk that was due")
    drain_s: float = Field(default=30.0, ge=0, le=3600, description="for sessions still open at the end of arrivals")


class Generator(Model):
    """The machine's own part: how many processes, and how late they may be before the run is invalid."""

    workers: int = Field(default=2, ge=1, le=256)
    lag_limit_s: float = Field(default=0.05, gt=0, le=10, description="99th percentile")


class Metrics(Model):
    """How often the service's metrics are scraped."""

    every_s: float = Field(default=1.0, ge=0.1, le=600)


class Scenario(Model):
    """The whole file."""

    name: Name
    about: str = ""
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    duration_s: Seconds = Field(description="of arrivals")
    warmup_s: float = Field(default=0.0, ge=0, description="sessions due before it are driven, but not judged")
    settle_s: float = Field(default=0.0, ge=0, le=600, description="of rest, before growth is taken at the end")
    prime: int = Field(default=0, ge=0, le=64, description="short sessions, before anything is measured")
    kinds: list[Kind] = Field(min_length=1, max_length=32)
    windows: dict[Name, tuple[float, float]] = Field(default_factory=dict, description="name: [from_s, until_s]")
    tenants: list[Tenant] = Field(default=[Tenant(name="anyone")], min_length=1, max_length=64)
    player: Player = Player()
    patience: Patience = Patience()
    generator: Generator = Generator()
    metrics: Metrics = Metrics()
    objectives: Objectives

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        problems = [*_repeated("kinds", [kind.name for kind in self.kinds])]
        problems += _repeated("tenants", [tenant.name for tenant in self.tenants])
        if self.warmup_s >= self.duration_s:
            problems.append(f"warmup_s must be below duration_s ({self.duration_s:g}), got {self.warmup_s:g}")
        problems += [f"windows.{name} must not end before it begins" for name, (a, b) in self.windows.items() if b <= a]
        tenants, kinds = {t.name for t in self.tenants}, {k.name for k in self.kinds}
        for kind in self.kinds:
            problems += [f"kinds.{kind.name}: tenant {t} is not listed" for t in kind.tenants or () if t not in tenants]
        for index, objective in enumerate(self.objectives.run):
            unknown = sorted(windows_of(objective) - self.windows.keys())
            problems += [f"objectives.run.{index}: window {name} is not listed" for name in unknown]
            kind_name = None if isinstance(objective, MetricObjective) else objective.kind
            if kind_name is not None and kind_name not in kinds:
                problems.append(f"objectives.run.{index}: kind {kind_name} is not listed")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def load(path: Path) -> Scenario:
    """The scenario of a file; a path that is not there is looked for among those that ship.

    Raises:
        ScenarioError: it cannot be read, or breaks a rule; every field and its limit is named.
    """
    file = find(path)
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"{file} is no YAML: {error}") from None
    try:
        scenario = Scenario.model_validate(content)
    except ValidationError as error:
        raise ScenarioError("\n".join([f"{file}:", *(f"  {line}" for line in explained(error))])) from None
    return _resolved(scenario, file)


def find(path: Path) -> Path:
    """The file itself, or one that ships: `smoke`, `smoke.yaml` and `scenarios/smoke.yaml` all mean the same."""
    if path.exists():
        return path
    shipped = SHIPPED / path.with_suffix(".yaml").name
    if path.parent in (Path(), Path("scenarios")) and shipped.exists():
        return shipped
    known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
    raise ScenarioError(f"there is no file {path}; the scenarios that ship are {known}")


def scaled(scenario: Scenario, factor: float) -> Scenario:
    """With `factor` times the arrivals, of the kinds that scale.

    Raises:
        ScenarioError: the factor is not above 0, or a trace cannot be scaled by it.
    """
    if not 0 < factor <= 10_000:
        raise ScenarioError(f"a scale must be above 0 and at most 10000, got {factor:g}")
    try:
        kinds = [
            kind.model_copy(update={"arrivals": arrivals.scaled(kind.arrivals, factor)}) if kind.scales else kind
            for kind in scenario.kinds
        ]
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    return scenario.model_copy(update={"kinds": kinds})


def explained(error: ValidationError) -> list[str]:
    """One line a fault: the field, the limit, what was given."""
    lines = []
    for fault in error.errors(include_url=False):
        field = ".".join(str(part) for part in fault["loc"]) or "the scenario"
        given = "" if isinstance(fault["input"], dict | list) else f" (got {fault['input']!r})"
        lines.append(f"{field}: {fault['msg']}{given}")
    return lines


def _resolved(scenario: Scenario, file: Path) -> Scenario:
    """With pictures' paths made absolute, and traces' files read.

    Raises:
        ScenarioError: one of them is not there, or holds no trace.
    """
    kinds = []
    for kind in scenario.kinds:
        person, *garments = ((file.parent / picture).resolve() for picture in (kind.person, *kind.garments))
        for picture in (person, *garments):
            if not picture.is_file():
                raise ScenarioError(f"{file}:\n  kinds.{kind.name}: there is no picture {picture}")
        timed = kind.arrivals
        if isinstance(timed, arrivals.TraceArrivals) and timed.file is not None:
            try:
                at_s = trace.read((file.parent / timed.file).resolve())
            except ValueError as error:
                raise ScenarioError(f"{file}:\n  kinds.{kind.name}.arrivals.file: {error}") from None
            timed = timed.model_copy(update={"at_s": at_s, "file": None})
        kinds.append(kind.model_copy(update={"person": person, "garments": garments, "arrivals": timed}))
    return scenario.model_copy(update={"kinds": kinds})


def _repeated(field: str, names: list[str]) -> list[str]:
    return [f"{field}: the name {name} is used twice" for name in sorted(set(names)) if names.count(name) > 1]
