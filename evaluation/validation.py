"""Validation: every metric on drawings that are right, and on ones wrong in one known way each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contract.geometry import StudentGeometry
from evaluation.cases import Case
from evaluation.conditions import DEFAULT, SessionPlan
from evaluation.corruptions import CORRUPTIONS, DrawnSession
from evaluation.intervals import interval
from evaluation.score import METRICS, Marks, score


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a metric's mean must be on drawings of a kind."""

    drawings: str
    metric: str
    at_least: float = -np.inf
    at_most: float = np.inf

    def holds(self, value: float) -> bool:
        return self.at_least <= value <= self.at_most

    def __str__(self) -> str:
        return f"at least {self.at_least:g}" if self.at_least > -np.inf else f"at most {self.at_most:g}"


def _near_perfect(drawings: str) -> tuple[Rule, ...]:
    return (
        Rule(drawings=drawings, metric="nearer_new", at_least=0.99),
        Rule(drawings=drawings, metric="shown_in_chunk", at_least=0.99),
        Rule(drawings=drawings, metric="shown_frames", at_most=0.5),
        Rule(drawings=drawings, metric="leak", at_most=0.03),
        Rule(drawings=drawings, metric="garment_delta_e", at_most=2.5),
        Rule(drawings=drawings, metric="pattern", at_least=0.95),
        Rule(drawings=drawings, metric="period_error", at_most=0.1),
        Rule(drawings=drawings, metric="iou", at_least=0.95),
        Rule(drawings=drawings, metric="head_delta_e", at_most=2.5),
        Rule(drawings=drawings, metric="identity", at_least=0.99),
        Rule(drawings=drawings, metric="background_delta_e", at_most=1.5),
        Rule(drawings=drawings, metric="body_delta_e", at_most=2.5),
        Rule(drawings=drawings, metric="amplitude", at_least=0.95),
        Rule(drawings=drawings, metric="amplitude", at_most=1.08),
        Rule(drawings=drawings, metric="forward", at_least=0.97),
        Rule(drawings=drawings, metric="direction", at_least=0.99),
        Rule(drawings=drawings, metric="jump", at_most=1.1),
        Rule(drawings=drawings, metric="sharpness", at_least=0.9),
    )


RULES = (
    *_near_perfect("right"),
    *_near_perfect("noisy"),
    Rule(drawings="wrong colour", metric="garment_delta_e", at_least=15),
    Rule(drawings="wrong pattern", metric="pattern", at_most=0.1),
    Rule(drawings="old garment", metric="nearer_new", at_most=0.01),
    Rule(drawings="old garment", metric="shown_in_chunk", at_most=0.01),
    Rule(drawings="old garment", metric="leak", at_least=0.9),
    Rule(drawings="old garment", metric="garment_delta_e", at_least=15),
    Rule(drawings="late", metric="shown_frames", at_least=12),
    Rule(drawings="late", metric="shown_s", at_least=1.0),
    Rule(drawings="late", metric="nearer_new", at_most=0.6),
    Rule(drawings="frozen", metric="amplitude", at_most=0.02),
    Rule(drawings="frozen", metric="forward", at_most=0.05),
    Rule(drawings="reversed", metric="forward", at_most=0.05),
    Rule(drawings="reversed", metric="direction", at_most=0.05),
    Rule(drawings="reversed", metric="amplitude", at_least=0.9),
    Rule(drawings="jumped", metric="jump", at_least=2.0),
    Rule(drawings="shifted", metric="iou", at_most=0.8),
    Rule(drawings="shifted", metric="head_delta_e", at_least=6),
    Rule(drawings="blurred", metric="sharpness", at_most=0.4),
    Rule(drawings="blurred", metric="pattern_seen", at_most=0.1),
    Rule(drawings="other person", metric="identity", at_most=0.05),
    Rule(drawings="other person", metric="head_delta_e", at_least=6),
    Rule(drawings="other scene", metric="background_delta_e", at_least=4),
    Rule(drawings="other clothes", metric="body_delta_e", at_least=4),
)


_PLAN = SessionPlan()


def judge(
    case: Case, geometry: StudentGeometry, *, plan: SessionPlan = _PLAN, kinds: Sequence[str] = tuple(CORRUPTIONS)
) -> dict[str, Marks]:
    """The case's marks on drawings of each kind."""
    expected = case.expected_after_switch()
    session = DrawnSession(case, plan.switch(case, geometry, DEFAULT), geometry)
    return {
        kind: score(
            session.clip(CORRUPTIONS[kind](case, session)),
            expected,
            switch_chunk=plan.chunks_before,
            frames_per_second=geometry.frames_per_second,
        )
        for kind in kinds
    }


def means(marks: Sequence[Mapping[str, Marks]]) -> dict[str, dict[str, float]]:
    """By kind and metric: the mean over cases; a ratio of means where the metric is one."""
    kinds = marks[0]
    return {
        kind: {
            metric.name: interval(
                [case[kind][metric.name] for case in marks],
                [case[kind][metric.over] for case in marks] if metric.over else None,
            ).mean
            for metric in METRICS
        }
        for kind in kinds
    }


def broken(found: Mapping[str, Mapping[str, float]], rules: Sequence[Rule] = RULES) -> list[tuple[Rule, float]]:
    """The rules that do not hold, with what was found."""
    values = ((rule, found[rule.drawings][rule.metric]) for rule in rules if rule.drawings in found)
    return [(rule, value) for rule, value in values if not rule.holds(value)]
