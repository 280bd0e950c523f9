"""An arena of the embedded student's layout in a folder of its own, and executors over the committed graphs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.arena_layout import ArenaLayout
from contract.tensors import Manifest
from executors.host_arena import HostArenas
from executors.onnx_decoder import OnnxDecoder
from executors.onnx_student import OnnxStudent
from service.engine.arena import HostArena

REPOSITORY = Path(__file__).parents[2] / "model_repository"


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return Manifest.read(REPOSITORY)


@pytest.fixture
def arena(manifest: Manifest, tmp_path: Path) -> Iterator[HostArena]:
    with HostArena(ArenaLayout(geometry=manifest.geometry, blocks=2), folder=tmp_path) as arena:
        yield arena


@pytest.fixture
def student(manifest: Manifest, tmp_path: Path) -> OnnxStudent:
    arenas = HostArenas(manifest.geometry, tmp_path)
    return OnnxStudent(REPOSITORY / "student" / "1", manifest.geometry, probe_cell=0, arenas=arenas)


@pytest.fixture
def decoder(manifest: Manifest, tmp_path: Path) -> OnnxDecoder:
    arenas = HostArenas(manifest.geometry, tmp_path)
    return OnnxDecoder(REPOSITORY / "vae_decoder" / "1", manifest.geometry, probe_cell=1, arenas=arenas)
