"""What an attempt at a picture comes to: kept, to be tried again, or given up after the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from curation.config import GarmentRules, Limits, ReferenceRules
from curation.ledger import Entry, Outcome, Reason, Stage
from curation.roles import PictureMarks, ReferenceMarks


def judged(
    marks: PictureMarks | ReferenceMarks,
    rules: GarmentRules | ReferenceRules,
    reasons: Mapping[str, Reason],
    *,
    stage: Stage,
    check: str,
    attempt: int,
    model: str,
    data: dict[str, Any] | None = None,
) -> Entry:
    """The entry of an attempt: each mark against the limit of the same name in `rules`; `reasons` by mark."""
    scores = asdict(marks)
    limits = {name: Limits(least=getattr(rules, name)) for name in scores}
    reason = next((reasons[name] for name, mark in scores.items() if not limits[name].hold(mark)), None)
    failed = Outcome.DISCARDED if attempt == rules.attempts else Outcome.RETRY
    return Entry(
        stage=stage,
        check=check,
        outcome=failed if reason else Outcome.KEPT,
        reason=reason,
        scores={name: float(mark) for name, mark in scores.items()},
        limits=limits,
        attempt=attempt,
        model=model,
        data=data or {},
    )
