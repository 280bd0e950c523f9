"""Sessions that are over, for a few minutes."""

from __future__ import annotations

from collections.abc import Iterable

from service.core.events import SessionView

KEPT = 256
KEPT_S = 300.0


class EndedSessions:
    """The last views of the newest `KEPT` sessions that ended, each for `KEPT_S`."""

    def __init__(self) -> None:
        self._views: dict[str, tuple[float, SessionView]] = {}
        """By id: when to forget it, and the view; the oldest first."""

    def add(self, view: SessionView, now: float) -> float:
        """When to call `forget`."""
        self._views[view.id] = (now + KEPT_S, view)
        if len(self._views) > KEPT:
            del self._views[next(iter(self._views))]
        return now + KEPT_S

    def forget(self, now: float) -> None:
        while self._views and (oldest := next(iter(self._views))) and self._views[oldest][0] <= now:
            del self._views[oldest]

    def get(self, session_id: str) -> SessionView | None:
        return self._views[session_id][1] if session_id in self._views else None

    def views(self) -> Iterable[SessionView]:
        return (view for _, view in self._views.values())
