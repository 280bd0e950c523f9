"""One timer of the event loop, set anew as often as wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` at the time that was set last.

    Args:
        clock: of the times, in seconds.
    """

    def __init__(self, ring: Callable[[], None], clock: Callable[[], float]) -> None:
        self._ring, self._clock = ring, clock
        self._timer: asyncio.TimerHandle | None = None
        self._when_s: float | None = None

    @property
    def is_set(self) -> bool:
        return self._when_s is not None

    def set(self, when_s: float | None) -> None:
        """None: not at all."""
        if when_s == self._when_s:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._when_s = when_s
        if when_s is not None:
            delay_s = max(0.0, when_s - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._rang)

    def _rang(self) -> None:
        self._timer = self._when_s = None
        self._ring()
