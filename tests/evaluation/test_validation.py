"""Every metric, on drawings that are right and on ones that are wrong in one known way each."""

from __future__ import annotations

from itertools import count

import pytest

from evaluation.cases import Case, draw_case
from evaluation.conditions import SessionPlan
from evaluation.corruptions import CORRUPTIONS
from evaluation.score import REPEATING
from evaluation.validation import RULES, Rule, broken, judge, means
from student.nano import GEOMETRY

PLAN = SessionPlan(chunks_before=1, chunks_after=3)
Found = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def case() -> Case:
    """One with a pattern that repeats, and another garment beside it."""
    cases = (draw_case(11, index, (GEOMETRY.frame_height, GEOMETRY.frame_width)) for index in count())
    return next(
        case for case in cases if case.sample.other.pattern in REPEATING and case.sample.outfit.lower is not None
    )


@pytest.fixture(scope="module")
def found(case: Case) -> Found:
    return means([judge(case, GEOMETRY, plan=PLAN)])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.drawings}-{rule.metric}")
def test_a_metric_tells_right_drawings_from_wrong_ones(found: Found, rule: Rule) -> None:
    assert rule.holds(found[rule.drawings][rule.metric]), found[rule.drawings][rule.metric]


def test_every_kind_of_drawing_is_in_a_rule() -> None:
    assert {rule.drawings for rule in RULES} == set(CORRUPTIONS)


def test_a_rule_that_does_not_hold_is_reported(found: Found) -> None:
    unkept = Rule(drawings="right", metric="iou", at_most=0.5)
    assert broken(found, [unkept]) == [(unkept, found["right"]["iou"])]
