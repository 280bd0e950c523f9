"""The arrays of a session, and what belongs to its stream; the core holds everything else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.core.events import SessionConfig
from service.engine.base import Frames, Latents
from service.media.video import ChunkEncoder
from service.runtime.garments import Claim
from service.runtime.stream import StreamLog
from service.runtime.tempo import Tempo

T = TypeVar("T")
Text = NDArray[np.float32]


@dataclass(slots=True, kw_only=True)
class ComingSwitch:
    """A switch that was accepted: its garment, and what it brings once that is encoded."""

    claim: Claim
    garment: Latents | None = None
    text: Text | None = None
    """None also where the prompt stays."""


@dataclass(slots=True, kw_only=True)
class SessionData:
    """One session's."""

    config: SessionConfig
    encoder: ChunkEncoder
    worn: Claim
    asked_s: float
    """When its request came in."""
    log: StreamLog = field(default_factory=StreamLog)
    reference: Latents | None = None
    garment: Latents | None = None
    text: Text | None = None
    text_shown: Text | None = None
    """That of the newest chunk; `text` may be a switch's that has begun."""
    clean: Latents | None = None
    """Clean estimate of the chunk being denoised, [F, C, h, w]."""
    decoding: dict[int, Latents] = field(default_factory=dict)
    frames: dict[int, Frames] = field(default_factory=dict)
    last_frame: NDArray[np.uint8] | None = None
    switches: dict[str, ComingSwitch] = field(default_factory=dict)
    """By event id: those that wait for their boundary."""
    switching: dict[int, float] = field(default_factory=dict)
    """Chunk sequence -> since when the service held up the switch that it shows."""
    media_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    first_sent: bool = False
    over: bool = False
    """Ended has been told; nothing may follow it."""
    tempo: Tempo = field(default_factory=Tempo)

    def begin_segment(self, event_id: str, now: float, *, overtakes: bool) -> None:
        """What the switch brings is the session's from here on; see `BeginSegment`."""
        self.tempo.goes_on(now)
        if not overtakes:
            self.text_shown = self.text
        coming = self.switches.pop(event_id)
        self.worn.release()
        self.worn, self.garment = coming.claim, coming.garment
        self.text = self.text_shown if coming.text is None else coming.text

    def drop_switch(self, event_id: str) -> None:
        """It will not take effect. One that began, and was overtaken then, has given up its garment already."""
        if (coming := self.switches.pop(event_id, None)) is not None:
            coming.claim.release()

    async def close(self) -> None:
        """Give up the garments, and close the encoder once no chunk is in it."""
        for event_id in tuple(self.switches):
            self.drop_switch(event_id)
        self.worn.release()
        async with self.media_turn:
            self.encoder.close()


def present(value: T | None) -> T:
    """The core asks for data only after it told the runtime to make it."""
    assert value is not None
    return value
