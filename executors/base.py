"""The seam between Triton's models and what computes: calls in, arrays out. An executor owns its arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]


class CallError(Exception):
    """The call names something that does not exist, or its tensors do not fit together; says which and the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCall:
    """One network pass of one session.

    Attributes:
        latent: [F, C, h, w] float32.
        timestep: [F] float32.
        position: [F] int64, where the frames stand.
        past_position: [S] int64, where the frames of slots [0, S) stand.
        moves: [M, 2] int32, slots copied (source, destination) before the pass.
        write_slot: first slot that receives the new keys and values, or None.
        text_context: [T, D_text] float32, stored in the block before the pass, or None: the stored one holds.
    """

    arena: str
    block: int
    latent: NDArray[np.float32]
    timestep: NDArray[np.float32]
    position: NDArray[np.int64]
    past_position: NDArray[np.int64]
    moves: NDArray[np.int32]
    write_slot: int | None
    text_context: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeCall:
    """One chunk of clean latents [F, C, h, w] through the streaming decoder. `read_bank` None: a new segment begins."""

    arena: str
    block: int
    latent: NDArray[np.float32]
    read_bank: int | None
    write_bank: int


class ArenaKeeper(Protocol):
    """What both stateful executors can do with an arena. Names are those the orchestrator gave."""

    def clear(self, arena: str, block: int) -> None:
        """Zero the block, as far as the executor's model uses it."""
        ...

    def probe(self, arena: str) -> None:
        """Add one to the model's probe cell."""
        ...


class StudentExecutor(ArenaKeeper, Protocol):
    def run(self, calls: Sequence[PassCall]) -> list[NDArray[np.float32] | CallError]:
        """The flow [F, C, h, w] of each call, or why it could not be computed; the calls' shapes are equal."""
        ...


class DecoderExecutor(ArenaKeeper, Protocol):
    def run(self, call: DecodeCall) -> NDArray[np.uint8]:
        """Video frames [n, H, W, 3]."""
        ...


class EncoderExecutor(Protocol):
    def run(self, requests: Sequence[Arrays]) -> list[NDArray[Any]]:
        """Each request's inputs are [b, ...]; so is each result."""
        ...
