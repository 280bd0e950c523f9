"""A deterministic engine without a network, for tests and simulation; it ships behind the same seam as the real one.

It keeps what a real engine keeps (slots, prompt, decoder banks, by block) as one digest each, so that a pass that reads
a slot never written, or a wrong plan, shows in the frames. Frames depend on everything they should depend on, and on
nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule
from service.engine.base import (
    DecodeRequest,
    EngineError,
    EngineUnavailable,
    Frames,
    Latents,
    PassRequest,
)

FAKE_GEOMETRY = StudentGeometry(
    name="fake",
    dim=64,
    ffn_dim=64,
    num_heads=1,
    num_layers=1,
    freq_dim=32,
    text_dim=8,
    text_tokens=128,
    latent_channels=4,
    latent_height=4,
    latent_width=4,
    frames_per_second=12,
)


@dataclass(slots=True)
class _Block:
    slots: dict[int, bytes] = field(default_factory=dict)
    text: bytes | None = None
    banks: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Seconds that calls take, on the event loop's clock."""

    encode_s: float = 0.0
    pass_s: float = 0.0
    decode_s: float = 0.0


class FakeEngine:
    """See the module. `fail_next`: exceptions that the next passes raise; `crash` and `recover` play a dead server."""

    def __init__(
        self,
        *,
        geometry: StudentGeometry = FAKE_GEOMETRY,
        schedule: DenoisingSchedule | None = None,
        blocks: int = 8,
        delays: Delays | None = None,
    ) -> None:
        self.geometry = geometry
        self.schedule = schedule or DenoisingSchedule()
        self.blocks = blocks
        self.chunk_cost_s = 0.0  # its calls run side by side, however many
        self.fail_next: list[EngineError] = []
        self._delays = delays or Delays()
        self._state = {block: _Block() for block in range(blocks)}
        self._down = False
        self._on_down: Callable[[], None] = lambda: None
        self._on_up: Callable[[bool], None] = lambda _kept: None

    def token_count(self, prompt: str) -> int:
        return len(prompt.encode()) + 1

    async def start(self, on_down: Callable[[], None], on_up: Callable[[bool], None]) -> None:
        self._on_down, self._on_up = on_down, on_up

    async def close(self) -> None:
        self._down = True

    def crash(self) -> None:
        """The server dies: calls in flight and to come fail until `recover`."""
        self._down = True
        self._on_down()

    def recover(self, *, kept: bool = True) -> None:
        if not kept:
            self._state = {block: _Block() for block in range(self.blocks)}
        self._down = False
        self._on_up(kept)

    def is_clear(self, block: int) -> bool:
        return self._state[block] == _Block()

    async def encode_text(self, prompt: str) -> NDArray[np.float32]:
        await self._take(self._delays.encode_s)
        return _floats(_digest(prompt.encode()), (self.geometry.text_tokens, self.geometry.text_dim))

    async def encode_image(self, rgb: NDArray[np.uint8]) -> Latents:
        height, width = self.geometry.frame_height, self.geometry.frame_width
        if rgb.shape != (height, width, 3) or rgb.dtype != np.uint8:
            raise EngineError(f"a picture must be uint8 [{height}, {width}, 3], got {rgb.dtype} {list(rgb.shape)}")
        await self._take(self._delays.encode_s)
        return _floats(_digest(rgb.tobytes()), (1, *self.geometry.latent_shape))

    async def run_pass(self, request: PassRequest) -> Latents:
        await self._take(self._delays.pass_s)
        if self.fail_next:
            raise self.fail_next.pop(0)
        block = self._state[request.block]
        for source, destination in request.plan.moves:
            block.slots[destination] = _written(block.slots, source)
        if request.text_context is not None:
            block.text = _digest(request.text_context.tobytes())
        if block.text is None:
            raise EngineError(f"block {request.block} has no prompt yet")
        past = [_written(block.slots, slot) for slot in range(request.plan.attended)]
        seen = zip(request.plan.past_positions, past, strict=True)
        context = _digest(block.text, *(bytes([position]) + content for position, content in sorted(seen)))
        positions = bytes(request.plan.positions)
        if request.plan.write_slot is not None:
            for index, latent in enumerate(request.latent):
                block.slots[request.plan.write_slot + index] = _digest(context, positions, latent.tobytes())
        timestep = request.timestep.to_bytes(4, "big")
        return _floats(_digest(context, positions, timestep, request.latent.tobytes()), request.latent.shape)

    async def decode(self, request: DecodeRequest) -> Frames:
        await self._take(self._delays.decode_s)
        block = self._state[request.block]
        first = request.read_bank is None
        past = b"" if request.read_bank is None else _written(block.banks, request.read_bank)
        content = _digest(past, request.latent.tobytes())
        block.banks[request.write_bank] = content
        count = self.geometry.video_frames(first_chunk_of_segment=first)
        shape = (count, self.geometry.frame_height, self.geometry.frame_width, 3)
        return np.random.default_rng(list(content)).integers(0, 256, shape, dtype=np.uint8)

    async def clear(self, block: int) -> None:
        await self._take(0.0)
        self._state[block] = _Block()

    async def _take(self, seconds: float) -> None:
        if self._down:
            raise EngineUnavailable("the engine is down")
        if seconds:
            await asyncio.sleep(seconds)  # the delay is the point: this engine simulates one that takes time
            if self._down:
                raise EngineUnavailable("the engine went down")


def _written(slots: dict[int, bytes], slot: int) -> bytes:
    if slot not in slots:
        raise EngineError(f"slot {slot} is read before it was written")
    return slots[slot]


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _floats(seed: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(list(seed)).standard_normal(shape, dtype=np.float32)
