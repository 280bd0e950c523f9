"""Shared memory: reserved at once, removed by its owner, or by the next one if the owner died."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from contract.arena_layout import HEADER_BYTES, ArenaLayout
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


def nano(blocks: int = 1) -> ArenaLayout:
    return ArenaLayout(geometry=Manifest.read(REPOSITORY).geometry, blocks=blocks)


def test_memory_is_its_owners_alone_and_blocks_share_none(tmp_path: Path) -> None:
    layout = nano(blocks=3)
    with HostArena(layout, folder=tmp_path) as arena, HostArena(layout, header_only=True, folder=tmp_path) as header:
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        assert (tmp_path / arena.name).stat().st_size == layout.total_bytes
        assert (tmp_path / header.name).stat().st_size == HEADER_BYTES
        assert [arena.frames_offset(block) for block in range(3)] == [0, arena.frames_bytes, 2 * arena.frames_bytes]
        assert arena.frames.size == 3 * arena.frames_bytes


def test_frames_that_cannot_be_had_leave_no_arena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve, reserved = os.posix_fallocate, []

    def once(descriptor: int, offset: int, size: int) -> None:
        if reserved:
            raise OSError(28, "No space left on device")
        reserved.append(size)
        reserve(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", once)
    with pytest.raises(OSError, match="cannot reserve"):
        HostArena(nano(), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_memory_that_is_still_being_reserved_is_not_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another orchestrator starts while we wait for gigabytes."""
    reserve, removed = os.posix_fallocate, []

    def slowly(descriptor: int, offset: int, size: int) -> None:
        removed.extend(remove_abandoned(tmp_path))
        reserve(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", slowly)
    with HostArena(nano(), folder=tmp_path) as living:
        assert removed == []
        assert (tmp_path / living.name).exists()


def test_memory_that_was_taken_for_abandoned_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, removed = os.open, []

    def slowly(path: Path, flags: int, mode: int) -> int:
        descriptor = create(path, flags, mode)
        if not removed:
            removed.extend(remove_abandoned(tmp_path))
        return descriptor

    with monkeypatch.context() as interleaved:
        interleaved.setattr(os, "open", slowly)
        living = HostArena(nano(), folder=tmp_path)
    with living:
        assert len(removed) == 1
        assert remove_abandoned(tmp_path) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, living.frames.name])


def test_whoever_looks_at_memory_just_made_does_not_fail_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It removes what it takes for abandoned while it holds the lock: the owner waits, and sees the file gone."""
    create, lock = os.open, fcntl.flock
    owner_waits, others = threading.Event(), []

    def looked_at(path: Path, flags: int, mode: int) -> int:
        descriptor = create(path, flags, mode)
        if not others:
            looker = create(path, os.O_RDONLY)
            lock(looker, fcntl.LOCK_EX | fcntl.LOCK_NB)

            def remove() -> None:
                owner_waits.wait()
                path.unlink()
                os.close(looker)

            others.append(threading.Thread(target=remove))
            others[0].start()
        return descriptor

    def announced(file: int, operation: int) -> None:
        owner_waits.set()
        lock(file, operation)

    with monkeypatch.context() as interleaved:
        interleaved.setattr(os, "open", looked_at)
        interleaved.setattr(fcntl, "flock", announced)
        living = HostArena(nano(), folder=tmp_path)
    with living:
        others[0].join()
        assert (tmp_path / living.name).exists()
