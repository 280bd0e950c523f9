"""The host's shared memory: the arena with every session's caches, and the frames that come back.

Both lie in /dev/shm under names that carry an epoch, so that nothing of an earlier life is mistaken for ours. The owner
holds a lock on the arena's file: what is found unlocked was left by a process that died, and is removed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import secrets
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from contract.arena_layout import (
    BIRTHS_OFFSET,
    BLOCKS_OFFSET,
    DIGEST_OFFSET,
    HEADER_BYTES,
    MAGIC,
    PROBE_CELL_BYTES,
    PROBE_OFFSET,
    ArenaLayout,
)

SHARED_MEMORY = Path("/dev/shm")
_EPOCH_FILE = re.compile(r"chameleon-([0-9a-f]+)-arena")


class SharedFile:
    """A file of shared memory, made and removed by us."""

    def __init__(self, path: Path, size: int) -> None:
        """Raises OSError, naming the file and its size, if the memory cannot be had."""
        self.path = path
        self._descriptor = _create_locked(path)
        try:
            # Reserve now: a page that cannot be had later would kill whoever touches it.
            os.posix_fallocate(self._descriptor, 0, size)
            self.map = mmap.mmap(self._descriptor, size)
        except OSError as error:
            self._remove()
            raise OSError(
                error.errno, f"cannot reserve {size:,} bytes of shared memory: {error.strerror}", str(path)
            ) from None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def size(self) -> int:
        return len(self.map)

    def close(self) -> None:
        """Remove the file. Whoever still maps it keeps the memory until it lets go."""
        self._remove()

    def _remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _create_locked(path: Path) -> int:
    """The descriptor of a new file that holds its owner's lock.

    Before it is locked the file looks abandoned, and whoever starts at this moment may remove it. It holds the lock
    while it does so: we wait for it here, see that the file is gone, and make another.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


class HostArena:
    """The arena and the frames region of one orchestrator. The frames of a block lie at `frames_offset(block)`."""

    def __init__(self, layout: ArenaLayout, *, header_only: bool = False, folder: Path = SHARED_MEMORY) -> None:
        """
        Args:
            header_only: the models keep the blocks in memory of their own.
        """
        remove_abandoned(folder)
        geometry = layout.geometry
        self.layout = layout
        self.prefix = f"chameleon-{secrets.token_hex(8)}-"
        """Of the names of all shared memory that belongs to this life."""
        chunk_frames = geometry.video_frames(first_chunk_of_segment=False)
        self.frames_bytes = chunk_frames * geometry.frame_height * geometry.frame_width * 3
        """Of one block: a whole chunk, uint8 [n, H, W, 3]."""
        size = HEADER_BYTES if header_only else layout.total_bytes
        self._arena = SharedFile(folder / f"{self.prefix}arena", size)
        try:
            self.frames = SharedFile(folder / f"{self.prefix}frames", layout.blocks * self.frames_bytes)
        except OSError:
            self._arena.close()
            raise
        self._arena.map[: len(MAGIC)] = MAGIC
        digest = layout.digest()
        self._arena.map[DIGEST_OFFSET : DIGEST_OFFSET + len(digest)] = digest
        struct.pack_into("<Q", self._arena.map, BLOCKS_OFFSET, layout.blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self._arena.name

    @property
    def total_bytes(self) -> int:
        return self._arena.size + self.frames.size

    def frames_offset(self, block: int) -> int:
        return block * self.frames_bytes

    def probe_count(self, cell: int) -> int:
        (count,) = struct.unpack_from("<Q", self._arena.map, PROBE_OFFSET + cell * PROBE_CELL_BYTES)
        return int(count)

    def birth_count(self, cell: int) -> int:
        """How often a model has put the blocks into memory of its own: never, where they lie in the file."""
        (count,) = struct.unpack_from("<Q", self._arena.map, BIRTHS_OFFSET + cell * PROBE_CELL_BYTES)
        return int(count)

    def is_clear(self, block: int) -> bool:
        """Whether every byte of a block is zero."""
        offset = self.layout.block_offset(block)
        return not any(self._arena.map[offset : offset + self.layout.block_bytes])

    def close(self) -> None:
        self.frames.close()
        self._arena.close()


def remove_abandoned(folder: Path = SHARED_MEMORY) -> list[str]:
    """Remove what orchestrators that died have left; returns their epochs."""
    epochs = []
    for path in folder.glob("chameleon-*-arena"):
        match = _EPOCH_FILE.fullmatch(path.name)
        if match is None:
            continue
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Still locked: an owner that has only just made the file must wait, and then see it gone.
                for left in folder.glob(f"chameleon-{match[1]}-*"):
                    left.unlink(missing_ok=True)
        except (BlockingIOError, PermissionError, FileNotFoundError):
            continue  # it lives, is another user's, or is gone already
        epochs.append(match[1])
    return epochs
