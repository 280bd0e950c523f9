"""The engine over a real tritonserver."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from contract.cache_plan import CacheState, PassPlan, plan_chunk, plan_start
from service.engine import triton
from service.engine.base import DecodeRequest, EngineError, EngineUnavailable, Latents, PassRequest
from service.engine.launcher import triton_engine
from service.engine.triton import TritonEngine
from tests.service.engine.conftest import BLOCKS, REPOSITORY, Life

# One server, hence one loop, for the whole file.
pytestmark = pytest.mark.asyncio(loop_scope="module")


def shared_memory(prefix: str) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{prefix}*"))


def chunk_latent(engine: TritonEngine, seed: int = 0) -> Latents:
    shape = (engine.geometry.chunk_frames, *engine.geometry.latent_shape)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def picture(engine: TritonEngine, seed: int = 0) -> NDArray[np.uint8]:
    shape = (engine.geometry.frame_height, engine.geometry.frame_width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


async def prefill(engine: TritonEngine, block: int, prompt: str = "she turns around") -> CacheState:
    person, garment = await asyncio.gather(
        engine.encode_image(picture(engine, 1)), engine.encode_image(picture(engine, 2))
    )
    plan = plan_start(engine.geometry)
    request = PassRequest(
        block=block,
        plan=plan.condition_pass,
        latent=np.concatenate([person, garment]),
        timestep=0,
        text_context=await engine.encode_text(prompt),
    )
    await engine.run_pass(request)
    return plan.after


async def denoise(engine: TritonEngine, block: int, plan: PassPlan, seed: int = 0) -> Latents:
    request = PassRequest(block=block, plan=plan, latent=chunk_latent(engine, seed), timestep=500)
    return await engine.run_pass(request)


async def test_the_rehearsal_measures_a_chunk_and_leaves_nothing_behind(engine: TritonEngine) -> None:
    assert 0.0 < engine.chunk_cost_s < 60.0
    assert all(engine._arena.is_clear(block) for block in range(BLOCKS))


async def test_sessions_that_run_together_get_what_each_gets_alone(engine: TritonEngine) -> None:
    """Requests of one shape are batched by the server; a batch must not mix its sessions."""
    states = [await prefill(engine, block, prompt=f"prompt {block}") for block in range(BLOCKS)]
    plans = [plan_chunk(state).denoise for state in states]
    alone = [await denoise(engine, block, plan, seed=block) for block, plan in enumerate(plans)]
    together = await asyncio.gather(*(denoise(engine, block, plan, seed=block) for block, plan in enumerate(plans)))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(alone[0], alone[1])


async def test_the_prompt_matters(engine: TritonEngine) -> None:
    one = await denoise(engine, 0, plan_chunk(await prefill(engine, 0, "she walks")).denoise)
    other = await denoise(engine, 0, plan_chunk(await prefill(engine, 0, "she sits")).denoise)
    assert not np.array_equal(one, other)


async def test_frames_are_the_callers_own(engine: TritonEngine) -> None:
    request = DecodeRequest(block=0, latent=chunk_latent(engine), read_bank=None, write_bank=0)
    frames = await engine.decode(request)
    kept = frames.copy()
    first, ordinary = (engine.geometry.video_frames(first_chunk_of_segment=first) for first in (True, False))
    assert frames.shape == (first, engine.geometry.frame_height, engine.geometry.frame_width, 3)
    following = await engine.decode(DecodeRequest(block=0, latent=chunk_latent(engine, 1), read_bank=0, write_bank=1))
    assert len(following) == ordinary
    assert np.array_equal(frames, kept)
    assert not np.array_equal(following[:first], kept)


async def test_a_cleared_block_holds_nothing(engine: TritonEngine) -> None:
    await prefill(engine, 1)
    await engine.decode(DecodeRequest(block=1, latent=chunk_latent(engine), read_bank=None, write_bank=1))
    assert not engine._arena.is_clear(1)
    await engine.clear(1)
    assert engine._arena.is_clear(1)


async def test_what_the_models_refuse_is_an_error_that_says_what(engine: TritonEngine) -> None:
    plan = plan_chunk(await prefill(engine, 0)).denoise
    with pytest.raises(EngineError, match=r"student: block: 4 is not in \[0, 4\)"):
        await denoise(engine, BLOCKS, plan)
    with pytest.raises(EngineError, match=r"vae_encoder: .*image"):
        await engine.encode_image(np.zeros((4, 4, 3), np.uint8))
    await denoise(engine, 0, plan)


async def test_a_killed_server_comes_back_and_only_the_step_in_flight_is_repeated(
    engine: TritonEngine, life: Life
) -> None:
    state = await prefill(engine, 2)
    chunk = plan_chunk(state)
    expected = await denoise(engine, 2, chunk.denoise)
    assert engine._server is not None
    calls = [asyncio.create_task(denoise(engine, 2, chunk.denoise)) for _ in range(20)]
    os.kill(engine._server.pid, signal.SIGKILL)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert any(isinstance(answer, EngineUnavailable) for answer in answers)
    assert all(isinstance(answer, EngineUnavailable | np.ndarray) for answer in answers)
    assert engine._recovery is not None
    await asyncio.wait_for(engine._recovery, 60)
    assert life.told == ["down", "up, kept=True"]
    assert np.array_equal(await denoise(engine, 2, chunk.denoise), expected)


async def test_a_server_of_our_own_that_hangs_is_killed_and_keeps_what_blocks_held(
    engine: TritonEngine, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = plan_chunk(await prefill(engine, 2))
    expected = await denoise(engine, 2, chunk.denoise)
    assert engine._server is not None
    hung, before = engine._server.pid, len(life.told)
    os.kill(hung, signal.SIGSTOP)
    with monkeypatch.context() as impatient:
        impatient.setattr(triton, "_CALL_TIMEOUT_S", 0.2)
        with pytest.raises(EngineUnavailable, match="student has not answered"):
            await denoise(engine, 2, chunk.denoise)
    assert engine._recovery is not None
    await asyncio.wait_for(engine._recovery, 60)
    assert engine._server.pid != hung
    assert life.told[before:] == ["down", "up, kept=True"]
    assert np.array_equal(await denoise(engine, 2, chunk.denoise), expected)


async def test_nothing_is_left_of_an_engine_that_was_closed(tmp_path: Path) -> None:
    engine = triton_engine(repository=REPOSITORY, blocks=1, url=None, workdir=tmp_path)
    prefix = engine._arena.prefix
    await engine.start(lambda: None, lambda _kept: None)
    assert shared_memory(prefix)
    assert engine._server is not None
    processes = [psutil.Process(engine._server.pid), *psutil.Process(engine._server.pid).children(recursive=True)]
    await engine.close()
    assert not shared_memory(prefix)
    assert not psutil.wait_procs(processes, timeout=10)[1]


async def test_a_running_server_can_be_shared(engine: TritonEngine, tmp_path: Path) -> None:
    """A second orchestrator brings its own arena and leaves the first one's sessions alone."""
    plan = plan_chunk(await prefill(engine, 0)).denoise
    expected = await denoise(engine, 0, plan)
    assert engine._server is not None
    second = triton_engine(repository=REPOSITORY, blocks=1, url=engine._server.url, workdir=tmp_path)
    await second.start(lambda: None, lambda _kept: None)
    await prefill(second, 0, "another prompt")
    await second.close()
    assert np.array_equal(await denoise(engine, 0, plan), expected)
    await engine.decode(DecodeRequest(block=0, latent=chunk_latent(engine), read_bank=None, write_bank=0))


async def test_a_repository_that_does_not_load_is_said_with_the_servers_own_words(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(REPOSITORY, repository)
    (repository / "student" / "1" / "student.onnx").write_bytes(b"not a graph")
    engine = triton_engine(repository=repository, blocks=1, url=None, workdir=tmp_path / "triton")
    prefix = engine._arena.prefix
    with pytest.raises(EngineError, match=r"(?s)the engine did not start: tritonserver exited.*log ends"):
        await engine.start(lambda: None, lambda _kept: None)
    assert not shared_memory(prefix)
