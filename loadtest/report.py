"""A run's result, as it is written: `report.json`. Its JSON schema is committed (`schema/report.schema.json`)."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Any, Literal

from pydantic import Field

from loadtest.histogram import Values
from loadtest.measures import Figure, Measure
from loadtest.model import Model

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


class Exit(IntEnum):
    """Exit statuses of the commands."""

    HELD = 0
    """Every objective holds."""
    MISSED = 1
    """An objective does not; or a comparison found a regression."""
    WRONG_INPUT = 2
    """The scenario or an argument is wrong; nothing was run."""
    TARGET = 3
    """The target cannot be reached, or was lost on the way."""
    INVALID = 4
    """The generator was late, or a worker died: the figures do not count."""
    STORAGE = 5
    """Results could not all be written."""
    INTERRUPTED = 130
    """Ctrl-C; what was seen until then is written."""


class Distribution(Model):
    """A measure's values. `percentiles` by percent; `worst_5_percent_mean` is of the worst twentieth, at least one."""

    count: int
    mean: float
    low: float
    high: float
    percentiles: dict[str, float]
    worst_5_percent_mean: float
    histogram: str = Field(description="HdrHistogram V2, compressed, base64; of millionths")

    def values(self) -> Values:
        return Values.decoded(self.histogram.encode())


class Counts(Model):
    """Sessions. `due` = good + spoiled + rejected + failed + unfinished + never_begun; spoiled: it came to its end, but
    broke a limit."""

    due: int
    good: int
    spoiled: int
    rejected: int
    failed: int
    unfinished: int
    never_begun: int


class Group(Model):
    """The sessions of a kind and a window (by when they were due), or of all."""

    kind: str | None
    window: str | None
    counts: Counts
    figures: dict[Figure, float | None] = Field(description="those that a group can have")
    measures: dict[Measure, Distribution]


class Verdict(Model):
    """An objective and what became of it. `value` None: there was nothing to measure, so it does not hold."""

    text: str
    limit: float | None
    value: float | None
    held: bool


class WorkerLoad(Model):
    """One worker's share of the machine."""

    worker: int
    cpu_s: float
    wall_s: float
    sessions: int


class GeneratorHealth(Model):
    """The harness's own part. Lateness and lag are seconds: latencies are no truer than these."""

    valid: bool
    reasons: list[str]
    lag_limit_s: float
    lag: Distribution = Field(description="how late the workers' loops ran what was due")
    start_lateness: Distribution = Field(description="from sessions' intended start to their actual one")
    switch_lateness: Distribution = Field(description="the same of switches")
    workers: list[WorkerLoad]
    chunks: int
    media_bytes: int
    peak_open: int = Field(description="most sessions open at one time")


class Series(Model):
    """One of the service's metrics over the run."""

    at_s: list[float]
    value: list[float]


class ServerMetrics(Model):
    """What was scraped. `first` and `last` of all samples but buckets; `series` of those that changed."""

    sources: list[str]
    scrapes: int
    failed: int
    first: dict[str, float]
    last: dict[str, float]
    series: dict[str, Series]


class ProcessState(Model):
    """Of the watched process and its children; /dev/shm as a whole."""

    cpu_s: float = Field(description="since each process began; of children that have ended too")
    resident_bytes: int
    descriptors: int
    threads: int
    shared_memory_bytes: int
    descriptor_kinds: dict[str, int] = Field(
        default={}, description="`process: kind` -> descriptors; kind: socket, pipe, eventfd, ..., or a file's folder"
    )
    thread_names: dict[str, int] = Field(default={}, description="`process: name` -> threads, by the system's names")
    shared_memory_files: dict[str, int] = Field(default={}, description="file in /dev/shm -> bytes")


class Machine(Model):
    """Where the harness ran. `load_1m`: the system's load average, before and after."""

    cores: int
    python: str
    platform: str
    load_1m: tuple[float, float]


class RunReport(Model):
    """Everything but the sessions themselves, which lie beside it, one a line: `sessions.jsonl`."""

    format: Literal[1] = 1
    scenario: dict[str, Any]
    target: str
    loop: Literal["open", "closed"]
    started: datetime
    wall_s: float
    aborted: str | None = Field(description="why the run was cut short")
    passed: bool = Field(description="valid, not cut short, and every objective holds")
    exit: Exit
    verdicts: list[Verdict]
    figures: dict[Figure, float | None] = Field(description="of the whole run")
    groups: list[Group]
    rejected: dict[str, int] = Field(description="sessions by reason")
    failed: dict[str, int] = Field(description="sessions by reason")
    broken: dict[str, int] = Field(description="sessions that came to their end, by the limits they broke")
    switches_unseen: dict[str, int] = Field(description="switches by the reason they were never shown")
    generator: GeneratorHealth
    server: ServerMetrics | None
    process: tuple[ProcessState, ProcessState] | None = Field(description="before and after the run")
    machine: Machine

    def group(self, kind: str | None = None, window: str | None = None) -> Group | None:
        return next((group for group in self.groups if (group.kind, group.window) == (kind, window)), None)
