"""Whether the run's objectives hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from loadtest.measures import Figure
from loadtest.objectives import DistributionObjective, FigureObjective, MetricObjective, Objective
from loadtest.report import Group, ServerMetrics, Verdict


def verdicts(
    objectives: Iterable[Objective],
    groups: Sequence[Group],
    figures: Mapping[Figure, float | None],
    server: ServerMetrics | None,
) -> list[Verdict]:
    """One an objective, in order."""
    return [_verdict(objective, groups, figures, server) for objective in objectives]


def _verdict(
    objective: Objective,
    groups: Sequence[Group],
    figures: Mapping[Figure, float | None],
    server: ServerMetrics | None,
) -> Verdict:
    match objective:
        case DistributionObjective():
            return _of_distribution(objective, groups)
        case FigureObjective():
            return _of_figure(objective, groups, figures)
        case MetricObjective():
            name = f"{objective.metric}, {objective.statistic}"
            return _held(name, _metric(objective, server), objective.at_most, objective.at_least)


def _of_distribution(objective: DistributionObjective, groups: Sequence[Group]) -> Verdict:
    text = f"{objective.measure}, {objective.percentile:g}th percentile" + _narrowed(objective)
    value = _percentile(objective, objective.window, groups)
    if objective.at_most_times_of_window is None:
        return _held(text, value, objective.at_most, objective.at_least)
    ((window, times),) = objective.at_most_times_of_window.items()
    base = _percentile(objective, window, groups)
    if base is None:
        return Verdict(text=f"{text}: at most {times:g} times window {window}'s", limit=None, value=value, held=False)
    return _held(f"{text} ({times:g} times window {window}'s)", value, times * base, None)


def _of_figure(objective: FigureObjective, groups: Sequence[Group], figures: Mapping[Figure, float | None]) -> Verdict:
    text = objective.figure + _narrowed(objective)
    if objective.kind is None and objective.window is None:
        return _held(text, figures[objective.figure], objective.at_most, objective.at_least)
    value = _group(groups, objective.kind, objective.window).figures[objective.figure]
    if objective.at_least_times_of_window is None:
        return _held(text, value, objective.at_most, objective.at_least)
    ((window, times),) = objective.at_least_times_of_window.items()
    base = _group(groups, objective.kind, window).figures[objective.figure]
    if base is None:
        return Verdict(text=f"{text}: at least {times:g} times window {window}'s", limit=None, value=value, held=False)
    return _held(f"{text} ({times:g} times window {window}'s)", value, None, times * base)


def _narrowed(objective: DistributionObjective | FigureObjective) -> str:
    narrowed = {"kind": objective.kind, "window": objective.window}
    return "".join(f", {name} {given}" for name, given in narrowed.items() if given)


def _group(groups: Sequence[Group], kind: str | None, window: str | None) -> Group:
    return next(group for group in groups if (group.kind, group.window) == (kind, window))


def _percentile(objective: DistributionObjective, window: str | None, groups: Sequence[Group]) -> float | None:
    measured = _group(groups, objective.kind, window).measures.get(objective.measure)
    return None if measured is None else measured.values().percentile(objective.percentile)


def _metric(objective: MetricObjective, server: ServerMetrics | None) -> float | None:
    """Summed over the labels; None if the service has no such metric."""
    if server is None:
        return None
    of = [key for key in server.last if key.partition("{")[0] == objective.metric]
    if not of:
        return None
    match objective.statistic:
        case "last":
            return sum(server.last[key] for key in of)
        case "growth":
            return sum(server.last[key] - server.first.get(key, 0.0) for key in of)


def _held(text: str, value: float | None, at_most: float | None, at_least: float | None) -> Verdict:
    limit = at_least if at_most is None else at_most
    word = "at least" if at_most is None else "at most"
    assert limit is not None, "an objective has one limit"
    held = value is not None and (value >= limit if at_most is None else value <= limit)
    return Verdict(text=f"{text} {word} {limit:.6g}", limit=limit, value=value, held=held)
