"""What a simulation found, as JSON: one document for a scenario and its policies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from simulation.curve import Figures
from simulation.day import Day
from simulation.profile import EngineProfile
from simulation.scenario import Scenario

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    scenario: Scenario
    profile: EngineProfile
    curve: tuple[Figures, ...] | None
    days: tuple[Day, ...]

    @property
    def headline(self) -> str:
        """Goes above every table and plot: what was simulated, and what its step times are worth."""
        return f"{self.scenario.name} - {self.profile.name} - step times: {self.profile.origin}"

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "headline": self.headline,
            "step_times_origin": self.profile.origin,
            "profile": self.profile.model_dump(mode="json"),
            "scenario": self.scenario.model_dump(mode="json"),
            "curve": None if self.curve is None else [_curve_json(figures) for figures in self.curve],
            "policies": [_day_json(day) for day in self.days],
        }


def _curve_json(figures: Figures) -> dict[str, Any]:
    values = asdict(figures)
    samples = sorted(start["first_frame_s"] for start in values.pop("starts"))
    return values | {
        "first_frame_median_s": samples[len(samples) // 2] if samples else None,
        "first_frame_worst_s": samples[-1] if samples else None,
    }


def _day_json(day: Day) -> dict[str, Any]:
    return {
        "policy": day.policy,
        "sessions": asdict(day.books),
        "shares": shares(day),
        "session_minutes": day.session_minutes,
        "node_hours": day.paid_node_s / 3600.0,
        "cost_per_session_minute": day.cost_per_session_minute,
        "pod_minutes_per_session_minute": day.pod_minutes_per_session_minute,
        "utilisation": day.utilisation,
        "most_pods": max((moment.ready for moment in day.timeline), default=0),
        "engines_failed": day.engines_failed,
        "nodes_failed": day.nodes_failed,
        "timeline": [asdict(moment) for moment in day.timeline],
    }


def shares(day: Day) -> dict[str, float]:
    """Of all sessions that wanted to be: turned away; of the admitted that are over: the rest."""
    books = day.books
    over = max(1, books.completed + books.drained + books.lost)
    return {
        "turned_away": books.turned_away / max(1, books.asked),
        "drained": books.drained / over,
        "lost": books.lost / over,
        "first_frame_missed": books.first_frame_missed / over,
        "late_missed": books.late_missed / over,
        "switch_missed": books.switch_missed / over,
        "stalled": books.stalled / over,
        "good": books.good / max(1, books.turned_away + over),
    }
