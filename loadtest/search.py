"""The most sessions at once that meet the objectives: double until they do not, then halve the interval.

One probe is a run of a closed loop and noisy, so each number is tried several times and the majority decides; the
interval tells how sure that is. Pure but for the probe that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from loadtest.model import Model


class Trial(Model):
    """A number of sessions and what came of each repeat."""

    sessions: int
    met: list[bool]

    @property
    def majority(self) -> bool:
        return 2 * sum(self.met) > len(self.met)


class SearchReport(Model):
    """What was found. `sessions` 0: not even the lowest number met the objectives, or none was tried to its end."""

    format: Literal[1] = 1
    scenario: str
    target: str
    sessions: int = Field(description="the most whose repeats met the objectives by majority")
    interval: tuple[int, int | None] = Field(
        description="every repeat met them up to the first; none from the next above the second on, null if not reached"
    )
    trials: list[Trial] = Field(description="one that was cut short has fewer repeats, and counts in nothing")
    cut_short: str | None = Field(description="why the search stopped before its end")


@dataclass(slots=True, kw_only=True)
class Search:
    """`probe(sessions, repeat)` says whether so many sessions met the objectives; what it raises ends the search.

    Args:
        resolution: the search ends once the interval is no wider than this share of its lower end, or one session.

    Attributes:
        most: the most sessions so far that met the objectives by majority; 0 if not even `low` did.
    """

    probe: Callable[[int, int], bool]
    low: int
    high: int
    repeats: int
    resolution: float = 0.05
    trials: list[Trial] = field(default_factory=list)
    most: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high:
            raise ValueError(f"a search needs 1 <= low <= high, got {self.low} and {self.high}")
        if self.repeats < 1:
            raise ValueError(f"a search needs at least one repeat, got {self.repeats}")

    def run(self) -> int:
        """`most`, once it is found."""
        sessions = self.low
        while self._meets(sessions):
            self.most = sessions
            if sessions == self.high:
                return self.most
            sessions = min(2 * sessions, self.high)
        missed = sessions
        while missed - self.most > max(1, int(self.resolution * self.most)) and missed > self.low:
            sessions = (self.most + missed) // 2
            if self._meets(sessions):
                self.most = sessions
            else:
                missed = sessions
        self._go_on_until_never(max(trial.sessions for trial in self.trials))
        return self.most

    def _go_on_until_never(self, sessions: int) -> None:
        """The interval's upper end: where no repeat meets them any more."""
        step = 1
        while any(self._trial(sessions).met) and sessions < self.high:
            sessions = min(sessions + step, self.high)
            step *= 2
            self._meets(sessions)

    def _trial(self, sessions: int) -> Trial:
        return next(trial for trial in self.trials if trial.sessions == sessions)

    def _meets(self, sessions: int) -> bool:
        met: list[bool] = []
        try:
            for repeat in range(self.repeats):
                met.append(self.probe(sessions, repeat))
        finally:
            if met:
                self.trials.append(Trial(sessions=sessions, met=met))
        return self.trials[-1].majority

    @property
    def interval(self) -> tuple[int, int | None]:
        """See SearchReport."""
        whole = (trial for trial in self.trials if len(trial.met) == self.repeats)
        ordered = sorted(whole, key=lambda trial: trial.sessions)
        surely = 0
        for trial in ordered:
            if not all(trial.met):
                break
            surely = trial.sessions
        never: int | None = None
        for trial in reversed(ordered):
            if any(trial.met):
                break
            never = trial.sessions - 1
        return surely, never
