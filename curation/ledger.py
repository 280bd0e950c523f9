"""What was decided about a clip, in order, and why: one JSON line a decision, and nothing is ever taken back.

The ledger is also how a run goes on: what has an entry is not done again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from curation.config import Limits


class Stage(StrEnum):
    """In the order of the work."""

    SCENES = "scenes"
    FILTER = "filter"
    CAPTION = "caption"
    GARMENT = "garment"
    REFERENCE = "reference"


class Outcome(StrEnum):
    KEPT = "kept"
    RETRY = "retry"
    DISCARDED = "discarded"


class Reason(StrEnum):
    """Why something was discarded, or must be tried again."""

    UNDECODABLE = "undecodable"
    TOO_SHORT = "too short"
    PERSONS = "not one person"
    FLOW = "flow out of limits"
    AESTHETICS = "aesthetics out of limits"
    QUALITY = "quality out of limits"
    DUPLICATE = "duplicate"
    CAPTION = "caption malformed"
    SEMANTICS = "garment picture: wrong garment"
    TEXTURE = "garment picture: wrong texture"
    CONTEXT = "garment picture: shows more than the garment"
    NO_OTHER_GARMENT = "no compatible other garment"
    REFERENCE_GARMENT = "reference: the garment is not worn"
    REFERENCE_REST = "reference: the rest has changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One decision.

    Attributes:
        check: what was looked at; `WHOLE` closes a stage that the clip has passed.
        scores, limits: by name, in the model's own units.
        attempt: from 1, where a check may be repeated.
        model: who judged; None where no model did.
        data: what later stages need.
    """

    stage: Stage
    check: str
    outcome: Outcome
    reason: Reason | None = None
    scores: dict[str, float] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)
    attempt: int | None = None
    model: str | None = None
    note: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.KEPT) != (self.reason is None):
            raise ValueError(f"{self.check} is {self.outcome} with the reason {self.reason}")


WHOLE = "whole stage"
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


class Ledger:
    """The ledger of one clip or video. One thread at a time may write to it."""

    def __init__(self, path: Path) -> None:
        """Reads what is there. A last line that was cut off in the writing is dropped: its work will be done again."""
        self.path = path
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        self.entries = [_ENTRY.validate_json(line) for line in whole.splitlines()]

    def add(self, entry: Entry) -> None:
        """It outlives the process when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(_ENTRY.dump_json(entry, exclude_defaults=True) + b"\n")
        self.entries.append(entry)

    def close(self, stage: Stage) -> None:
        """The clip has passed the stage."""
        self.add(Entry(stage=stage, check=WHOLE, outcome=Outcome.KEPT))

    def of(self, stage: Stage, check: str) -> list[Entry]:
        """Attempts at a check, in order."""
        return [entry for entry in self.entries if entry.stage is stage and entry.check == check]

    def last(self, stage: Stage, check: str) -> Entry | None:
        return next(iter(reversed(self.of(stage, check))), None)

    @property
    def discarded(self) -> Entry | None:
        """The decision that ended the clip's way."""
        return next((entry for entry in self.entries if entry.outcome is Outcome.DISCARDED), None)

    def passed(self, stage: Stage) -> bool:
        return bool(self.of(stage, WHOLE))

    def open(self, stage: Stage) -> bool:
        """Whether the stage still has something to do: the one before is passed, and nothing has ended the clip."""
        if self.discarded or self.passed(stage):
            return False
        order = list(Stage)
        before = order[order.index(stage) - 1]
        return before is Stage.SCENES or self.passed(before)
