"""How fast a session's chunks are made, without the time that others hold them back."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.core.steps import Step, StepKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A chunk's seconds.

    Attributes:
        chunk_s: from the dispatch of its first pass until its media were ready.
        own_s: since the chunk before it was ready, less what pacing, a pause or the reader held the session back;
            None for a session's first chunk.
    """

    chunk_s: float
    own_s: float | None


@dataclass(slots=True)
class _Making:
    began_s: float
    hold: tuple[float, float]


@dataclass(slots=True)
class Tempo:
    """Fed with a session's steps; one chunk is made behind the other, though their stages overlap.

    A session is held from when its student comes to a chunk boundary until it has work again: a chunk may start, or a
    switch begins. Time that passes so while the chunk before is still being decoded is lost to nobody.
    """

    _boundary_s: float | None = None
    _hold: tuple[float, float] = (0.0, 0.0)
    _making: dict[int, _Making] = field(default_factory=dict)
    _ready_s: float | None = None

    def step_began(self, step: Step, now: float) -> None:
        if step.kind is StepKind.DENOISE and step.sequence not in self._making:
            self.goes_on(step.runnable_s)
            self._making[step.sequence] = _Making(began_s=now, hold=self._hold)
            self._hold = (0.0, 0.0)

    def step_ended(self, step: Step, now: float) -> None:
        if step.kind in (StepKind.PREFILL, StepKind.COMMIT):
            self._boundary_s = now

    def goes_on(self, now: float) -> None:
        """The session leaves the chunk boundary. Of a boundary behind a switch's prefill, the longer hold counts."""
        if self._boundary_s is not None:
            self._hold = max(self._hold, (self._boundary_s, now), key=lambda hold: hold[1] - hold[0])
            self._boundary_s = None

    def chunk_ready(self, sequence: int, now: float) -> Made:
        making, before_s = self._making.pop(sequence), self._ready_s
        self._ready_s = now
        own_s = None
        if before_s is not None:
            since_s, until_s = making.hold
            own_s = now - before_s - max(0.0, until_s - max(since_s, before_s))
        return Made(chunk_s=now - making.began_s, own_s=own_s)
