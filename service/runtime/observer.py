"""What the runtime measures, as a hook: `service/telemetry.py` makes metrics of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from service.core.events import EndReason, State


class Observer(Protocol):
    """All times in seconds."""

    def stage(self, stage: str, seconds: float) -> None:
        """queue, text, encode, prefill, denoise, commit, decode, media or send."""

    def chunk(self, seconds: float) -> None:
        """From the start of a chunk's first pass until its media are ready, waits between them included."""

    def degraded(self) -> None:
        """A chunk went without some of its denoising passes."""

    def time_to_first_frame(self, seconds: float) -> None:
        """From the request for a session, its pictures still unread, until the first chunk was written to a stream."""

    def switch(self, stage: str, seconds: float) -> None:
        """accepted, from the request on; applied or sent, from when its boundary was the next one and the session ran:
        what `not_before`, a pause, missing credits or a reader held back does not count."""

    def realtime_factor(self, factor: float) -> None:
        """Playing time of a chunk over the time since the chunk before it was ready, less what pacing, a pause or the
        reader held it back: below 1 the service falls behind, whatever the pacing."""

    def rejected(self, reason: str) -> None:
        """A session was refused."""

    def ended(self, reason: EndReason) -> None:
        """A session is over."""

    def deadline_miss(self) -> None: ...

    def backpressure(self, seconds: float) -> None:
        """A finished chunk waited this long for its reader."""

    def engine_up(self, up: bool) -> None: ...

    def sessions(self, counts: Mapping[State, int]) -> None: ...

    def capacity(self, sessions: int) -> None: ...

    def cache_slots(self, counts: Mapping[str, int]) -> None: ...
