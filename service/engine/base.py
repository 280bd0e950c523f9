"""The engine protocol: everything the runtime knows of a network.

An engine holds `blocks` session blocks (KV slots, prompt context, decoder caches). Requests name blocks, slots and
positions; cached bytes never travel. Every call may be repeated with the same arguments and gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contract.cache_plan import PassPlan
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule

Latents = NDArray[np.float32]
"""[F, C, h, w], normalised."""
Frames = NDArray[np.uint8]
"""[n, H, W, 3], RGB."""


class EngineError(Exception):
    """The engine refused or failed a call; repeating it would not help."""


class EngineUnavailable(EngineError):
    """The engine is down; the call may be repeated once it is up again, and nothing of it still runs then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRequest:
    """One network pass: `plan` names slots and positions; `latent` [F, C, h, w] is the noisy chunk or the conditions.

    `text_context` [T, D_text] comes with a prefill and holds for the block from then on.
    """

    block: int
    plan: PassPlan
    latent: Latents
    timestep: int
    text_context: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """One chunk of clean latents [F, C, h, w]. `read_bank` None restarts: the first latent gives one frame."""

    block: int
    latent: Latents
    read_bank: int | None
    write_bank: int


class Engine(Protocol):
    """A network behind a narrow seam. One owner; all calls on one event loop."""

    @property
    def geometry(self) -> StudentGeometry: ...

    @property
    def schedule(self) -> DenoisingSchedule: ...

    @property
    def blocks(self) -> int:
        """Sessions that fit."""
        ...

    @property
    def chunk_cost_s(self) -> float:
        """Seconds that a chunk takes an engine with as much to do as it can, measured by `start`; 0: not known."""
        ...

    def token_count(self, prompt: str) -> int:
        """Tokens of a prompt, its end included; at most `geometry.text_tokens` may be encoded."""
        ...

    async def start(self, on_down: Callable[[], None], on_up: Callable[[bool], None]) -> None:
        """Attach, test, warm up. Afterwards `on_down()` reports a lost engine and `on_up(kept)` its return; `kept`
        tells whether the blocks still hold what they held."""
        ...

    async def close(self) -> None:
        """May be called at any time, before `start` too, and again."""
        ...

    async def encode_text(self, prompt: str) -> NDArray[np.float32]:
        """[T, D_text], zero beyond the prompt."""
        ...

    async def encode_image(self, rgb: NDArray[np.uint8]) -> Latents:
        """A single picture [H, W, 3] of the frame's size as one latent [1, C, h, w]."""
        ...

    async def run_pass(self, request: PassRequest) -> Latents:
        """The flow [F, C, h, w] (noise - clean)."""
        ...

    async def decode(self, request: DecodeRequest) -> Frames:
        """The chunk's video frames; the caller owns the memory."""
        ...

    async def clear(self, block: int) -> None:
        """Zero a block, before it passes to another session."""
        ...
