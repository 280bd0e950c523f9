"""The rehearsal's full load, over an engine that fails in the midst of it."""

from __future__ import annotations

import asyncio

import pytest

from service.engine.base import DecodeRequest, EngineError, Frames, Latents, PassRequest
from service.engine.fake import FakeEngine
from service.engine.rehearsal import rehearse


class FailingUnderLoad(FakeEngine):
    """Behind the two decodes that are made alone, passes take for ever and decoding fails."""

    def __init__(self) -> None:
        super().__init__(blocks=4)
        self.decodes = self.hanging = 0

    async def run_pass(self, request: PassRequest) -> Latents:
        if self.decodes == 2:
            self.hanging += 1
            await asyncio.Event().wait()
        return await super().run_pass(request)

    async def decode(self, request: DecodeRequest) -> Frames:
        if self.decodes == 2:
            raise EngineError("no decoder")
        self.decodes += 1
        return await super().decode(request)


async def test_a_rehearsal_that_fails_leaves_no_call_running() -> None:
    engine = FailingUnderLoad()
    with pytest.raises(EngineError, match="no decoder"):
        await rehearse(engine)
    assert engine.hanging
    assert asyncio.all_tasks() == {asyncio.current_task()}
