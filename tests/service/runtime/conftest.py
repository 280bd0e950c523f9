"""An orchestrator over the deterministic fake engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from service.core.events import EndReason, State
from service.engine.fake import FAKE_GEOMETRY, FakeEngine
from service.runtime.orchestrator import Orchestrator


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.switches: list[tuple[str, float]] = []
        self.reasons: Counter[str] = Counter()
        self.slots: Mapping[str, int] = {}
        self.first_frames = 0
        self.first_frame_s = 0.0
        self.ups: list[bool] = []
        self.factors: list[float] = []
        self.chunks: list[float] = []

    def stage(self, stage: str, seconds: float) -> None:
        assert seconds >= 0
        self.stages[stage] += 1

    def chunk(self, seconds: float) -> None:
        assert seconds > 0
        self.chunks.append(seconds)

    def time_to_first_frame(self, seconds: float) -> None:
        self.first_frames += 1
        self.first_frame_s = seconds

    def switch(self, stage: str, seconds: float) -> None:
        self.switches.append((stage, seconds))

    def realtime_factor(self, factor: float) -> None:
        assert factor > 0
        self.factors.append(factor)

    def rejected(self, reason: str) -> None:
        self.reasons[reason] += 1

    def ended(self, reason: EndReason) -> None:
        self.reasons[reason.name] += 1

    def deadline_miss(self) -> None:
        self.reasons["late"] += 1

    def degraded(self) -> None:
        self.reasons["degraded"] += 1

    def backpressure(self, seconds: float) -> None:
        assert seconds >= 0

    def engine_up(self, up: bool) -> None:
        self.ups.append(up)

    def sessions(self, counts: Mapping[State, int]) -> None:
        assert all(count >= 0 for count in counts.values())

    def capacity(self, sessions: int) -> None:
        assert sessions > 0

    def cache_slots(self, counts: Mapping[str, int]) -> None:
        self.slots = dict(counts)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(blocks=4)


@pytest.fixture
async def orchestrator(engine: FakeEngine, recorder: Recorder) -> AsyncIterator[Orchestrator]:
    orchestrator = Orchestrator(engine, observer=recorder)
    await orchestrator.start()
    yield orchestrator
    await orchestrator.close()


def picture(value: int) -> NDArray[np.uint8]:
    return np.full((FAKE_GEOMETRY.frame_height, FAKE_GEOMETRY.frame_width, 3), value, np.uint8)


async def until(holds: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Return once `holds`; TimeoutError if it does not in time."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is awaited here has no event to wait for
            await asyncio.sleep(0.005)
