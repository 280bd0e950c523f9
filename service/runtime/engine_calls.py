"""Calls that outlive the engine: they wait while it is down, and are made again if it goes down meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.engine.base import Engine, EngineUnavailable, Latents
from service.runtime.observer import Observer
from service.runtime.session_data import ComingSwitch, SessionData, Text, present
from service.runtime.tracer import Tracer

T = TypeVar("T")


class EngineCalls:
    """What is encoded or cleared outside the core's steps. EngineError if the engine refuses, or the server closes."""

    def __init__(
        self,
        engine: Engine,
        *,
        observer: Observer,
        tracer: Tracer,
        clock: Callable[[], float],
        on_down: Callable[[], None],
    ) -> None:
        """
        Args:
            on_down: told when a call finds the engine gone.
        """
        self._engine, self._observer, self._tracer, self._clock = engine, observer, tracer, clock
        self._on_down = on_down
        self._up = asyncio.Event()
        self._closed = False

    @property
    def up(self) -> bool:
        return self._up.is_set()

    def engine_up(self) -> None:
        self._up.set()

    def engine_down(self) -> None:
        self._up.clear()

    def close(self) -> None:
        """Whoever waits for the engine gives up."""
        self._closed = True
        self._up.set()

    async def prepare_session(self, session_id: str, data: SessionData, person_rgb: NDArray[np.uint8]) -> None:
        """What a session begins with. EngineError, or ServiceError of its garment."""
        data.reference, data.garment, data.text = await asyncio.gather(
            self._traced(session_id, "encode person", self.encode_image(person_rgb)),
            self._traced(session_id, "encode garment", data.worn.latents()),
            self._traced(session_id, "text", self.encode_text(data.config.prompt)),
        )

    async def prepare_switch(self, session_id: str, coming: ComingSwitch, prompt: str | None) -> None:
        """What a switch brings. EngineError, or ServiceError of its garment."""
        coming.garment = await self._traced(session_id, "encode garment", coming.claim.latents())
        if prompt is not None:
            coming.text = await self._traced(session_id, "text", self.encode_text(prompt))

    async def prepare_reference(self, session_id: str, data: SessionData) -> None:
        """The last frame as the new reference."""
        encode = self.encode_image(present(data.last_frame))
        data.reference = await self._traced(session_id, "encode reference", encode)

    async def encode_image(self, rgb: NDArray[np.uint8]) -> Latents:
        """[H, W, 3] -> [1, C, h, w]."""
        return await self._persist("encode", lambda: self._engine.encode_image(rgb))

    async def encode_text(self, prompt: str) -> Text:
        return await self._persist("text", lambda: self._engine.encode_text(prompt))

    async def clear(self, block: int) -> None:
        await self._persist(None, lambda: self._engine.clear(block))

    async def _traced(self, session_id: str, stage: str, work: Awaitable[T]) -> T:
        """Any work as a stage of a session's trace."""
        began_s, error = self._clock(), ""
        try:
            return await work
        except Exception as failure:
            error = str(failure)
            raise
        finally:
            self._tracer.stage(session_id, stage, began_s, self._clock(), error=error)

    async def _persist(self, stage: str | None, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            await self._up.wait()
            began_s = self._clock()
            try:
                result = await call()
            except EngineUnavailable:
                if self._closed:
                    raise
                self._on_down()
                continue
            if stage is not None:
                self._observer.stage(stage, self._clock() - began_s)
            return result
