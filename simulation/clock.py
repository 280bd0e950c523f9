"""The simulation's clock: simpy, with calls at a time beside its processes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, None]
"""What simpy runs: yields what it waits for."""


class Clock(simpy.Environment):
    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        """Call `act` once. Cheaper than a process, of which a day with a million events would need as many."""
        self.timeout(delay_s).callbacks.append(lambda _event: act())
