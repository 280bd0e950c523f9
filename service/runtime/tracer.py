"""What the runtime tells of one session's course, as a hook: `service/tracing.py` makes spans of it.

Beside the observer, which counts over all sessions and hears no ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Protocol

caller: ContextVar[Mapping[str, str] | None] = ContextVar("caller", default=None)
"""The W3C trace headers that came with the call being served; None while nothing is traced."""


class Tracer(Protocol):
    """All times are the orchestrator's clock, in seconds. Sessions that are not known are passed over."""

    def opened(self, session_id: str, asked_s: float, now: float, **attributes: str) -> None:
        """A session is open; `asked_s`: when its request came in, before its pictures were read."""

    def stage(
        self, session_id: str, stage: str, began_s: float, ended_s: float, sequence: int | None = None, error: str = ""
    ) -> None:
        """encode ..., text, prefill, denoise, commit, decode or media; of a chunk if it has a sequence."""

    def switch_asked(self, session_id: str, event_id: str, now: float) -> None:
        """A switch was accepted; called within the call that asked for it."""

    def switch_done(self, session_id: str, event_id: str, now: float, error: str = "") -> None:
        """The first chunk that shows it was written, or it was refused after all. May be told twice."""

    def sent(self, session_id: str, sequence: int, now: float) -> None:
        """The chunk was written to a stream."""

    def ended(self, session_id: str, reason: str, now: float) -> None:
        """STOPPED, COMPLETED, ABANDONED, DRAINED or LOST."""

    def close(self) -> None:
        """Hand out what is still held; may block for some seconds."""


class NoTracer:
    """Traces nothing."""

    def opened(self, session_id: str, asked_s: float, now: float, **attributes: str) -> None:
        pass

    def stage(
        self, session_id: str, stage: str, began_s: float, ended_s: float, sequence: int | None = None, error: str = ""
    ) -> None:
        pass

    def switch_asked(self, session_id: str, event_id: str, now: float) -> None:
        pass

    def switch_done(self, session_id: str, event_id: str, now: float, error: str = "") -> None:
        pass

    def sent(self, session_id: str, sequence: int, now: float) -> None:
        pass

    def ended(self, session_id: str, reason: str, now: float) -> None:
        pass

    def close(self) -> None:
        pass
