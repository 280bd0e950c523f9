"""Shared memory: reserved at once, removed by its owner, or by the next one if the owner died."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.arena_layout import ArenaLayout
from contract.tensors import Manifest
from service.engine.arena import HostArena, remove_abandoned
from tests.service.engine.conftest import REPOSITORY


def test_only_abandoned_memory_is_removed(tmp_path: Path) -> None:
    layout = ArenaLayout(geometry=Manifest.read(REPOSITORY).geometry, blocks=1)
    with HostArena(layout, folder=tmp_path) as living:
        for name in ("chameleon-dead0-arena", "chameleon-dead0-frames", "chameleon-dead0-backend-x", "other"):
            (tmp_path / name).touch()
        assert remove_abandoned(tmp_path) == ["dead0"]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, living.frames.name, "other"])


def test_memory_that_cannot_be_had_is_said_with_its_size(tmp_path: Path) -> None:
    geometry = Manifest.read(REPOSITORY).geometry
    with pytest.raises(OSError, match=r"cannot reserve [0-9,]+ bytes of shared memory"):
        HostArena(ArenaLayout(geometry=geometry, blocks=10**9), folder=tmp_path)
    assert not list(tmp_path.iterdir())
