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
from service.runtime.stream import StreamLog
from service.runtime.tempo import Tempo

T = TypeVar("T")
Text = NDArray[np.float32]


@dataclass(slots=True, kw_only=True)
class Prepared:
    """What a switch brings, encoded on arrival."""

    garment: Latents
    text: Text | None
    accepted_s: float


@dataclass(slots=True, kw_only=True)
class SessionData:
    """One session's."""

    config: SessionConfig
    encoder: ChunkEncoder
    asked_s: float
    """When its request came in."""
    log: StreamLog = field(default_factory=StreamLog)
    reference: Latents | None = None
    garment: Latents | None = None
    text: Text | None = None
    clean: Latents | None = None
    """Clean estimate of the chunk being denoised, [F, C, h, w]."""
    decoding: dict[int, Latents] = field(default_factory=dict)
    frames: dict[int, Frames] = field(default_factory=dict)
    last_frame: NDArray[np.uint8] | None = None
    prepared: dict[str, Prepared] = field(default_factory=dict)
    switching: dict[int, float] = field(default_factory=dict)
    """Chunk sequence -> when the switch that it shows was accepted."""
    applying_since_s: float | None = None
    media_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    first_sent: bool = False
    over: bool = False
    """Ended has been told; nothing may follow it."""
    tempo: Tempo = field(default_factory=Tempo)

    async def close(self) -> None:
        """Close the encoder, once no chunk is in it."""
        async with self.media_turn:
            self.encoder.close()


def present(value: T | None) -> T:
    """The core asks for data only after it told the runtime to make it."""
    assert value is not None
    return value
