"""An engine over a server that hangs: it may still write what it was asked, so nothing is used again before its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from contract.tensors import VAE_DECODER, VAE_ENCODER, Manifest
from service.engine import triton
from service.engine.base import DecodeRequest, EngineError, EngineUnavailable
from service.engine.launcher import triton_engine
from service.engine.triton import TritonEngine
from tests.service.engine.conftest import REPOSITORY, Life
from tests.service.engine.fake_triton import FakeTriton, fake_triton

SOON_S = 0.05
LONG_ENOUGH_S = 1.0
"""For an engine that did not wait to be back many times over."""


@pytest.fixture
async def server() -> AsyncIterator[tuple[FakeTriton, str]]:
    async with fake_triton(Manifest.read(REPOSITORY).geometry) as server:
        yield server


def shared_memory(engine: TritonEngine) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{engine._arena.prefix}*"))


def engine_at(url: str, folder: Path) -> TritonEngine:
    return triton_engine(repository=REPOSITORY, blocks=2, url=url, workdir=folder)


async def hanging_decode(engine: TritonEngine, fake: FakeTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decode that is given up. Everything behind it has its usual time."""
    fake.hangs = VAE_DECODER
    latent = np.zeros((engine.geometry.chunk_frames, *engine.geometry.latent_shape), np.float32)
    with monkeypatch.context() as impatient:
        impatient.setattr(triton, "_CALL_TIMEOUT_S", SOON_S)
        with pytest.raises(EngineUnavailable, match="vae_decoder has not answered"):
            await engine.decode(DecodeRequest(block=0, latent=latent, read_bank=None, write_bank=0))


async def test_a_running_server_that_hangs_is_down_until_it_has_answered_though_its_models_answer_others(
    server: tuple[FakeTriton, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake, url), life = server, Life()
    engine = engine_at(url, tmp_path)
    await engine.start(life.down, life.up)
    try:
        await hanging_decode(engine, fake, monkeypatch)
        assert engine._recovery is not None
        done, _ = await asyncio.wait({engine._recovery}, timeout=LONG_ENOUGH_S)
        assert not done
        assert life.told == ["down"]
        fake.answer.set()
        await asyncio.wait_for(engine._recovery, 30)
        assert life.told == ["down", "up, kept=True"]
        await engine.clear(0)
    finally:
        await engine.close()


async def test_a_hanging_server_does_not_keep_the_engine_from_closing(
    server: tuple[FakeTriton, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, url = server
    engine = engine_at(url, tmp_path)
    await engine.start(lambda: None, lambda _kept: None)
    await hanging_decode(engine, fake, monkeypatch)
    await asyncio.wait_for(engine.close(), 30)
    assert not engine._unanswered
    assert not shared_memory(engine)


async def test_a_server_that_hangs_at_the_start_is_an_error(
    server: tuple[FakeTriton, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake, url), life = server, Life()
    fake.hangs = VAE_ENCODER
    monkeypatch.setattr(triton, "_CALL_TIMEOUT_S", LONG_ENOUGH_S)
    with pytest.raises(EngineError, match=r"the engine did not start: vae_encoder has not answered"):
        await engine_at(url, tmp_path).start(life.down, life.up)
    assert life.told == []


async def test_an_error_in_what_hears_of_the_return_does_not_end_the_recovery(
    server: tuple[FakeTriton, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake, url), told = server, []

    def up(kept: bool) -> None:
        told.append(kept)
        if len(told) == 1:
            raise RuntimeError("the first time")

    engine = engine_at(url, tmp_path)
    await engine.start(lambda: None, up)
    try:
        await hanging_decode(engine, fake, monkeypatch)
        fake.answer.set()
        assert engine._recovery is not None
        await asyncio.wait_for(engine._recovery, 30)
        assert told == [True, True]
    finally:
        await engine.close()


@pytest.mark.parametrize("url", ["127.0.0.1:1", None])
async def test_an_engine_that_never_started_closes_and_leaves_nothing(url: str | None, tmp_path: Path) -> None:
    engine = triton_engine(repository=REPOSITORY, blocks=1, url=url, workdir=tmp_path)
    assert shared_memory(engine)
    await engine.close()
    await engine.close()
    assert not shared_memory(engine)


async def test_a_server_that_cannot_be_run_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine = triton_engine(repository=REPOSITORY, blocks=1, url=None, workdir=tmp_path / "file")
    with pytest.raises(EngineError, match=r"the engine did not start: .*file"):
        await engine.start(lambda: None, lambda _kept: None)
    assert not shared_memory(engine)
