"""From all sessions' records to the report. Pure: what was seen goes in, figures and verdicts come out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from loadtest.histogram import Values
from loadtest.judge import Judged, judge
from loadtest.measures import GROUP_FIGURES, Figure, Measure
from loadtest.observed import Observed
from loadtest.record import Outcome, SessionRecord
from loadtest.report import (
    PERCENTILES,
    Counts,
    Distribution,
    Exit,
    GeneratorHealth,
    Group,
    RunReport,
    WorkerLoad,
)
from loadtest.scenario import Scenario
from loadtest.verdicts import verdicts

WORST_SHARE = 0.05


def distribution(values: Sequence[float], *, low_is_bad: bool = False) -> Distribution:
    """See Distribution."""
    held = Values(values)
    worst = sorted(values, reverse=not low_is_bad)[: max(1, math.ceil(WORST_SHARE * len(values)))]
    return _distribution(held, worst=sum(worst) / len(worst) if worst else 0.0)


def summarise(observed: Observed) -> tuple[RunReport, list[Judged]]:
    """The report, and the sessions judged: those due in warm-up are judged too, but count in no figure."""
    scenario = observed.scenario
    judged = [judge(record, scenario.player, scenario.objectives.session) for record in observed.records]
    counted = [session for session in judged if session.record.due_s >= scenario.warmup_s]
    groups = _groups(scenario, counted, observed.due, observed.wall_s)
    figures = groups[0].figures | _growth(observed)
    found = verdicts(scenario.objectives.run, groups, figures, observed.server)
    health = _health(observed)
    passed = health.valid and observed.aborted is None and all(verdict.held for verdict in found)
    report = RunReport(
        scenario=scenario.model_dump(mode="json"),
        target=observed.target,
        loop="closed" if observed.closed else "open",
        started=observed.started,
        wall_s=round(observed.wall_s, 3),
        aborted=observed.aborted,
        passed=passed,
        exit=observed.exit or (Exit.HELD if passed else Exit.MISSED if health.valid else Exit.INVALID),
        verdicts=found,
        figures=figures,
        groups=groups,
        rejected=_reasons(counted, Outcome.REJECTED),
        failed=_reasons(counted, Outcome.FAILED),
        broken=_broken(counted),
        switches_unseen=_unseen(counted),
        generator=health,
        server=observed.server,
        process=observed.process,
        machine=observed.machine,
    )
    return report, judged


def _groups(scenario: Scenario, counted: list[Judged], due: Sequence[tuple[float, str]], wall_s: float) -> list[Group]:
    """All first; then by kind, by window, and by both."""
    kinds: list[str | None] = [None, *(kind.name for kind in scenario.kinds)]
    windows: list[str | None] = [None, *scenario.windows]
    groups = []
    for window in windows:
        from_s, until_s = (0.0, math.inf) if window is None else scenario.windows[window]
        from_s = max(from_s, scenario.warmup_s)
        inside = [session for session in counted if from_s <= session.record.due_s < until_s]
        due_inside = Counter(of for due_s, of in due if from_s <= due_s < until_s)
        for kind in kinds:
            members = _of_kind(inside, kind)
            due_count = due_inside.total() if kind is None else due_inside[kind]
            counts = _counts(members, max(due_count, len(members)))
            until = min(until_s, scenario.duration_s, wall_s)
            figures = _figures(counts, goodput(_of_kind(counted, kind), from_s=from_s, until_s=until))
            figures[Figure.DEGRADED_RATIO] = _degraded(members)
            groups.append(Group(kind=kind, window=window, counts=counts, figures=figures, measures=_measures(members)))
    return groups


def _of_kind(sessions: list[Judged], kind: str | None) -> list[Judged]:
    return [session for session in sessions if kind in (None, session.record.kind)]


def _counts(members: list[Judged], due: int) -> Counts:
    of = Counter(session.record.outcome for session in members)
    good = sum(session.good for session in members)
    return Counts(
        due=due,
        good=good,
        spoiled=of[Outcome.COMPLETED] - good,
        rejected=of[Outcome.REJECTED],
        failed=of[Outcome.FAILED],
        unfinished=of[Outcome.UNFINISHED],
        never_begun=due - len(members),
    )


def _measures(members: list[Judged]) -> dict[Measure, Distribution]:
    measures = {}
    for measure in Measure:
        values = [value for session in members for value in session.values.get(measure, ())]
        if values:
            measures[measure] = distribution(values, low_is_bad=measure.low_is_bad)
    return measures


def _figures(counts: Counts, good_video_s_per_s: float | None) -> dict[Figure, float | None]:
    figures: dict[Figure, float | None] = dict.fromkeys(GROUP_FIGURES)
    if counts.due:
        figures[Figure.GOOD_RATIO] = counts.good / counts.due
        figures[Figure.REJECTED_RATIO] = counts.rejected / counts.due
        figures[Figure.FAILED_RATIO] = (counts.failed + counts.unfinished + counts.never_begun) / counts.due
    figures[Figure.GOODPUT] = good_video_s_per_s
    return figures


def _degraded(members: list[Judged]) -> float | None:
    chunks = sum(len(session.record.chunk_received_s) for session in members)
    return sum(session.record.degraded_chunks for session in members) / chunks if chunks else None


def _growth(observed: Observed) -> dict[Figure, float | None]:
    """Of the service's process; None if it was not watched."""
    growth: dict[Figure, float | None] = {figure: None for figure in Figure if figure not in GROUP_FIGURES}
    if observed.process is not None:
        before, after = observed.process
        growth[Figure.RESIDENT_GROWTH] = after.resident_bytes - before.resident_bytes
        growth[Figure.DESCRIPTOR_GROWTH] = after.descriptors - before.descriptors
        growth[Figure.THREAD_GROWTH] = after.threads - before.threads
        growth[Figure.SHARED_MEMORY_GROWTH] = after.shared_memory_bytes - before.shared_memory_bytes
    return growth


def goodput(sessions: Iterable[Judged], *, from_s: float, until_s: float) -> float | None:
    """Seconds of video that good sessions received from `from_s` to `until_s`, for each second of that time."""
    if until_s <= from_s:
        return None
    received_s = 0.0
    for session in sessions:
        if session.good:
            chunks = zip(session.record.chunk_received_s, session.record.chunk_duration_s, strict=True)
            received_s += sum(lasts_s for at_s, lasts_s in chunks if from_s <= at_s < until_s)
    return received_s / (until_s - from_s)


def _health(observed: Observed) -> GeneratorHealth:
    """Valid if the generator kept its own times, so that what is late is the service's doing."""
    limit_s = observed.scenario.generator.lag_limit_s
    records = observed.records
    starts = [max(0.0, record.began_s - record.due_s) for record in records]
    switches = [max(0.0, s.sent_s - s.due_s) for record in records for s in record.switches]
    lag = Values()
    for worker_lag in observed.lags:
        lag.add_all(worker_lag)
    reasons = list(observed.worker_faults)
    for name, values in (
        ("the workers' loops were", lag),
        ("sessions were begun", Values(starts)),
        ("switches were sent", Values(switches)),
    ):
        if (late_s := values.percentile(99)) > limit_s:
            percentile = "99th percentile; the limit is"
            reasons.append(f"{name} {1000 * late_s:.0f} ms late ({percentile} {1000 * limit_s:.0f} ms)")
    return GeneratorHealth(
        valid=not reasons,
        reasons=reasons,
        lag_limit_s=limit_s,
        lag=_distribution(lag, worst=lag.high),
        start_lateness=distribution(starts),
        switch_lateness=distribution(switches),
        workers=[
            WorkerLoad(
                worker=load.worker,
                cpu_s=round(load.cpu_s, 3),
                wall_s=round(load.wall_s, 3),
                sessions=sum(record.worker == load.worker for record in records),
            )
            for load in observed.loads
        ],
        chunks=sum(len(record.chunk_received_s) for record in records),
        media_bytes=sum(record.media_bytes for record in records),
        peak_open=_peak_open(records),
    )


def _peak_open(records: Iterable[SessionRecord]) -> int:
    """One that ends makes room for one that opens at the same time."""
    spans = [(record.opened_s, record.ended_s) for record in records if record.opened_s is not None]
    changes = sorted([(opened_s, 1) for opened_s, _ in spans] + [(ended_s, -1) for _, ended_s in spans])
    return max(accumulate(step for _, step in changes), default=0)


def _distribution(held: Values, *, worst: float) -> Distribution:
    return Distribution(
        count=held.count,
        mean=held.mean,
        low=held.low,
        high=held.high,
        percentiles={f"{percent:g}": v for percent, v in zip(PERCENTILES, held.percentiles(PERCENTILES), strict=True)},
        worst_5_percent_mean=worst,
        histogram=held.encoded().decode(),
    )


def _reasons(sessions: list[Judged], outcome: Outcome) -> dict[str, int]:
    return _tally(s.record.reason for s in sessions if s.record.outcome is outcome)


def _broken(sessions: list[Judged]) -> dict[str, int]:
    completed = (session for session in sessions if session.record.outcome is Outcome.COMPLETED)
    return _tally(name for session in completed for name in {broken.name for broken in session.broken})


def _unseen(sessions: list[Judged]) -> dict[str, int]:
    return _tally(s.refused for session in sessions for s in session.record.switches if s.refused is not None)


def _tally(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))
