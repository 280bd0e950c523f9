"""The engine over a real tritonserver whose models compute in PyTorch, with the arena in their processes' memory."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contract.arena_layout import HEADER_BYTES
from contract.cache_plan import plan_chunk, plan_start
from contract.tensors import Executor, Manifest
from export import serving
from service.engine.base import PassRequest
from service.engine.launcher import triton_engine
from tests.service.engine.conftest import REPOSITORY, Life


@pytest.mark.timeout(1200)
async def test_sessions_run_in_pytorch_and_a_killed_server_is_known_to_have_lost_them(tmp_path: Path) -> None:
    life, back = Life(), asyncio.Event()
    root = tmp_path / "models"
    list(serving.write(root, Executor.TORCH, replace(Manifest.read(REPOSITORY), files={})))
    engine = triton_engine(repository=root, blocks=2, url=None, workdir=tmp_path)

    def up(kept: bool) -> None:
        life.up(kept)
        back.set()

    await engine.start(life.down, up)
    try:
        geometry = engine.geometry
        assert engine._arena._arena.size == HEADER_BYTES, "the blocks are not in shared memory"
        picture = np.zeros((geometry.frame_height, geometry.frame_width, 3), np.uint8)
        start = plan_start(geometry)
        latent = np.repeat(await engine.encode_image(picture), 2, axis=0)
        text = await engine.encode_text("she turns around")

        async def flow() -> np.ndarray:
            await engine.run_pass(
                PassRequest(block=1, plan=start.condition_pass, latent=latent, timestep=0, text_context=text)
            )
            noise = np.random.default_rng(0).standard_normal(
                (geometry.chunk_frames, *geometry.latent_shape), dtype=np.float32
            )
            request = PassRequest(block=1, plan=plan_chunk(start.after).denoise, latent=noise, timestep=1000)
            return await engine.run_pass(request)

        before = await flow()
        assert np.isfinite(before).all()
        assert engine._server is not None
        os.kill(engine._server.pid, signal.SIGKILL)
        await asyncio.wait_for(back.wait(), 600)
        assert life.told == ["down", "up, kept=False"]
        assert np.array_equal(await flow(), before)
    finally:
        await engine.close()
