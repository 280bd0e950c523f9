"""Since when a session waits for nobody but its client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Hold:
    """The session is paused, out of credits, or has as many chunks unread as it may: only its client lets it go on.

    Attributes:
        limit_s: how long a session with a reader may be held.
        since_s: when the hold began, or when a reader came or went meanwhile; None while there is none.
        ended_s: when the last one ended.
    """

    limit_s: float
    since_s: float | None = None
    ended_s: float = 0.0
    _attached: bool = False
    _wake_s: float | None = None
    """The time asked of the timer. One at a time: holds of a moment come with every chunk."""

    def note(self, *, held: bool, attached: bool, now: float) -> None:
        """How the session stands after an input."""
        if not held and self.since_s is not None:
            self.since_s, self.ended_s = None, now
        elif held and (self.since_s is None or attached != self._attached):
            self.since_s = now
        self._attached = attached

    def wake_s(self) -> float | None:
        """A time to ask of the timer; None if none is needed, or one was asked for."""
        if self._wake_s is not None or (deadline_s := self._deadline_s()) is None:
            return None
        self._wake_s = deadline_s
        return deadline_s

    def over(self, now: float) -> bool:
        """The timer rang: True if the session has been held for too long."""
        if self._wake_s is not None and self._wake_s <= now:
            self._wake_s = None
        deadline_s = self._deadline_s()
        return deadline_s is not None and deadline_s <= now

    def _deadline_s(self) -> float | None:
        """Only with a reader: without one the session has its detach deadline."""
        return self.since_s + self.limit_s if self.since_s is not None and self._attached else None
