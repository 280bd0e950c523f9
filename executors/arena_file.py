"""The arena as the orchestrator made it: a POSIX shared-memory file whose header page says what it is."""

from __future__ import annotations

import mmap
import re
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from contract.arena_layout import (
    BIRTHS_OFFSET,
    BLOCKS_OFFSET,
    DIGEST_BYTES,
    DIGEST_OFFSET,
    HEADER_BYTES,
    MAGIC,
    PROBE_CELL_BYTES,
    PROBE_OFFSET,
    ArenaLayout,
)
from contract.geometry import StudentGeometry
from executors.base import CallError

SHARED_MEMORY = Path("/dev/shm")
_NAME = re.compile(r"chameleon-[0-9a-f]{1,64}-arena")


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of a block as a runtime binds them: their address, and the shape of the array that lies there."""

    pointer: int
    shape: tuple[int, ...]


class ArenaFile:
    """The attached file: its layout, its probe and birth cells."""

    def __init__(self, name: str, geometry: StudentGeometry, folder: Path = SHARED_MEMORY) -> None:
        """Attach.

        Raises:
            CallError: the name is not an arena's, it does not exist, or its layout is not this geometry's.
        """
        if not _NAME.fullmatch(name):
            raise CallError(f"arena: {name!r} is not the name of an arena")
        try:
            with (folder / name).open("r+b") as file:
                self.map = mmap.mmap(file.fileno(), 0)
        except (FileNotFoundError, ValueError) as error:
            raise CallError(f"arena: cannot attach {name}: {error}") from error
        self.name = name
        self.layout = self._read_layout(geometry)

    def require_blocks(self) -> None:
        """Raises CallError if the blocks are not in the file: it was made for executors with memory of their own."""
        if len(self.map) != self.layout.total_bytes:
            raise CallError(f"arena: {self.name} holds no blocks, and this executor has no memory of its own for them")

    def probe(self, cell: int) -> None:
        """Add one to a model's probe cell: shows that both sides see the same file."""
        self._count(PROBE_OFFSET + cell * PROBE_CELL_BYTES)

    def born(self, cell: int) -> None:
        """Add one to a model's count of births: its blocks begin anew, in memory that ends with the process."""
        self._count(BIRTHS_OFFSET + cell * PROBE_CELL_BYTES)

    def _count(self, offset: int) -> None:
        (count,) = struct.unpack_from("<Q", self.map, offset)
        struct.pack_into("<Q", self.map, offset, count + 1)

    def _read_layout(self, geometry: StudentGeometry) -> ArenaLayout:
        if len(self.map) >= HEADER_BYTES and self.map[: len(MAGIC)] == MAGIC:
            (blocks,) = struct.unpack_from("<Q", self.map, BLOCKS_OFFSET)
            digest = self.map[DIGEST_OFFSET : DIGEST_OFFSET + DIGEST_BYTES]
            if blocks and (layout := ArenaLayout(geometry=geometry, blocks=blocks)).digest() == digest:
                return layout
        raise CallError(f"arena: {self.name} is not laid out for the student {geometry.name!r} of this repository")


class SlotPlaces(ABC):
    """Where slots lie, for executors that bind addresses. Raises CallError for slots that are not there."""

    def __init__(self, layout: ArenaLayout) -> None:
        self.layout = layout
        self.geometry = layout.geometry

    @abstractmethod
    def address(self, offset: int) -> int:
        """In this process, of a byte of the arena."""

    def keys(self, block: int, layer: int, first: int, count: int) -> Range:
        """Keys of slots [first, first + count) of a layer, [count * N, H, D]."""
        return self._slots(self.layout.key_offset(block, layer), first, count)

    def values(self, block: int, layer: int, first: int, count: int) -> Range:
        return self._slots(self.layout.value_offset(block, layer), first, count)

    def _slots(self, offset: int, first: int, count: int) -> Range:
        geometry = self.geometry
        if not 0 <= first <= first + count <= geometry.window_frames:
            raise CallError(f"slots [{first}, {first + count}) are not within [0, {geometry.window_frames})")
        shape = (count * geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
        return Range(self.address(offset + first * self.layout.slot_bytes), shape)
