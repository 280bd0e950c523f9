"""What a session's student does next: its cache, and the passes planned over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from contract.cache_plan import (
    CacheState,
    ChunkPlan,
    PassPlan,
    Policy,
    PrefillPlan,
    Role,
    plan_chunk,
    plan_start,
    plan_switch,
)
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule, Pass
from service.core.events import Cursor
from service.core.steps import StepKind


class Phase(Enum):
    CONDITIONS = auto()
    PREFILL = auto()
    BOUNDARY = auto()
    DENOISE = auto()
    COMMIT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One pass. `last`: its result is the clean chunk."""

    plan: PassPlan
    kind: StepKind
    sigma_pass: Pass | None = None
    conditions: tuple[Role, ...] = ()
    last: bool = False


class Passes:
    """The plans of one session. `cache` is what the last pass left."""

    def __init__(self, geometry: StudentGeometry, schedule: DenoisingSchedule) -> None:
        self._schedule = schedule
        self._denoising = schedule.denoising_passes()
        self._clean = schedule.clean_pass()
        self.cache = CacheState(geometry=geometry)
        self._prefill: PrefillPlan | None = plan_start(geometry)
        self._chunk: ChunkPlan | None = None
        self._index = 0
        self.restarts_video = True
        """The next chunk is the first of its video: it has fewer frames, and the decoder begins anew."""

    @property
    def place(self) -> Cursor:
        """Of the chunk that is planned, else of the next."""
        at = self._chunk or self.cache
        return Cursor(segment=at.segment, chunk=at.chunk)

    def begin_segment(self, policy: Policy) -> None:
        """A switch: a chunk that is planned gets no clean pass, as its keys would be withdrawn at once."""
        self._chunk = None
        self._prefill = plan_switch(self.cache, policy)

    def prefilled(self) -> None:
        assert self._prefill is not None
        self.cache = self._prefill.after
        self.restarts_video = self._prefill.restarts_video
        self._prefill = None

    def begin_chunk(self, *, left_out: int) -> None:
        """`left_out`: denoising passes that it goes without."""
        self._chunk = plan_chunk(self.cache)
        self._denoising = self._schedule.denoising_passes(left_out=left_out)
        self._index = 0
        self.restarts_video = False

    def denoised(self) -> None:
        """One of the denoising passes is done."""
        self._index += 1

    def committed(self) -> None:
        """The chunk's keys and values are in the cache."""
        assert self._chunk is not None
        self.cache = self._chunk.after
        self._chunk = None

    def work(self, phase: Phase) -> Work:
        """The pass to run in PREFILL, DENOISE or COMMIT."""
        if phase is Phase.PREFILL:
            assert self._prefill is not None
            return Work(plan=self._prefill.condition_pass, kind=StepKind.PREFILL, conditions=self._prefill.conditions)
        assert self._chunk is not None
        if phase is Phase.COMMIT:
            return Work(plan=self._chunk.commit, kind=StepKind.COMMIT, sigma_pass=self._clean)
        plan = self._chunk.denoise if self._index == 0 else replace(self._chunk.denoise, moves=())
        return Work(
            plan=plan,
            kind=StepKind.DENOISE,
            sigma_pass=self._denoising[self._index],
            last=self._index == len(self._denoising) - 1,
        )
