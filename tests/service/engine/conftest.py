"""The real engine: one tritonserver for the module's tests, on loopback, stopped at their end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from service.engine.launcher import triton_engine
from service.engine.triton import TritonEngine

REPOSITORY = Path(__file__).parents[3] / "model_repository"
BLOCKS = 4


class Life:
    """What an engine reports of itself."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def down(self) -> None:
        self.told.append("down")

    def up(self, kept: bool) -> None:
        self.told.append(f"up, kept={kept}")


@pytest.fixture(scope="module")
def life() -> Life:
    return Life()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(life: Life, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TritonEngine]:
    engine = triton_engine(repository=REPOSITORY, blocks=BLOCKS, url=None, workdir=tmp_path_factory.mktemp("triton"))
    await engine.start(life.down, life.up)
    yield engine
    await engine.close()
