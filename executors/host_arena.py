"""The arena of a host engine, seen from the engine's side: a POSIX shared-memory file that the orchestrator made."""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.arena_layout import (
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
    """Bytes of the arena as a runtime binds them: where they begin in this process, and their array shape."""

    pointer: int
    shape: tuple[int, ...]


class HostArena:
    """Pointers and views into an attached arena. Raises CallError for a block, slot or bank that is not there."""

    def __init__(self, name: str, geometry: StudentGeometry, folder: Path = SHARED_MEMORY) -> None:
        """Attach.

        Raises:
            CallError: the name is not an arena's, it does not exist, or its layout is not this geometry's.
        """
        if not _NAME.fullmatch(name):
            raise CallError(f"arena: {name!r} is not the name of an arena")
        try:
            with (folder / name).open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), 0)
        except (FileNotFoundError, ValueError) as error:
            raise CallError(f"arena: cannot attach {name}: {error}") from error
        self.geometry = geometry
        self.layout = self._read_layout(name)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._base: int = self._bytes.ctypes.data

    def past_keys(self, block: int, layer: int, slots: int) -> Range:
        """Keys of slots [0, slots) of a layer, [slots * N, H, D]."""
        return self._slots(self.layout.key_offset(block, layer), 0, slots)

    def past_values(self, block: int, layer: int, slots: int) -> Range:
        return self._slots(self.layout.value_offset(block, layer), 0, slots)

    def new_keys(self, block: int, layer: int, first: int, frames: int) -> Range:
        """Keys of slots [first, first + frames) of a layer."""
        return self._slots(self.layout.key_offset(block, layer), first, frames)

    def new_values(self, block: int, layer: int, first: int, frames: int) -> Range:
        return self._slots(self.layout.value_offset(block, layer), first, frames)

    def text(self, block: int) -> NDArray[np.float32]:
        """[T, D_text], a view."""
        shape = (self.geometry.text_tokens, self.geometry.text_dim)
        view: NDArray[np.float32] = np.ndarray(shape, np.float32, self._map, self.layout.text_offset(block))
        return view

    def decoder_caches(self, block: int, bank: int) -> list[NDArray[np.float32]]:
        """Views of a bank's caches, in the manifest's order."""
        offsets = self.layout.decoder_cache_offsets(block, bank)
        shapes = self.geometry.decoder_cache_shapes
        return [np.ndarray(s, np.float32, self._map, o) for s, o in zip(shapes, offsets, strict=True)]

    def move(self, block: int, moves: NDArray[np.int32]) -> None:
        """Copy slots (source, destination), keys and values of every layer; sources and destinations are disjoint."""
        slots: NDArray[np.uint8] = np.ndarray(
            (2 * self.geometry.num_layers, self.geometry.window_frames, self.layout.slot_bytes),
            np.uint8,
            self._map,
            self.layout.block_offset(block),
            (self.layout.layer_bytes, self.layout.slot_bytes, 1),
        )
        slots[:, moves[:, 1]] = slots[:, moves[:, 0]]

    def clear(self, block: int, start: int, end: int) -> None:
        """Zero bytes [start, end) of a block."""
        offset = self.layout.block_offset(block)
        self._bytes[offset + start : offset + end] = 0

    def probe(self, cell: int) -> None:
        offset = PROBE_OFFSET + cell * PROBE_CELL_BYTES
        (count,) = struct.unpack_from("<Q", self._map, offset)
        struct.pack_into("<Q", self._map, offset, count + 1)

    def check_block(self, block: int) -> None:
        if not 0 <= block < self.layout.blocks:
            raise CallError(f"block: {block} is not in [0, {self.layout.blocks})")

    def _slots(self, offset: int, first: int, count: int) -> Range:
        geometry = self.geometry
        if not 0 <= first <= first + count <= geometry.window_frames:
            raise CallError(f"slots [{first}, {first + count}) are not within [0, {geometry.window_frames})")
        shape = (count * geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
        return Range(self._base + offset + first * self.layout.slot_bytes, shape)

    def _read_layout(self, name: str) -> ArenaLayout:
        one = ArenaLayout(geometry=self.geometry, blocks=1)
        blocks, rest = divmod(len(self._map) - HEADER_BYTES, one.block_bytes)
        digest = self._map[DIGEST_OFFSET : DIGEST_OFFSET + DIGEST_BYTES]
        if self._map[: len(MAGIC)] == MAGIC and blocks > 0 and not rest:
            layout = ArenaLayout(geometry=self.geometry, blocks=blocks)
            if layout.digest() == digest:
                return layout
        raise CallError(f"arena: {name} is not laid out for the student {self.geometry.name!r} of this repository")


class HostArenas:
    """The arenas a model has seen. An orchestrator that starts anew brings a new name; the old one is let go."""

    def __init__(self, geometry: StudentGeometry, folder: Path = SHARED_MEMORY) -> None:
        self._geometry = geometry
        self._folder = folder
        self._attached: dict[str, HostArena] = {}

    def attach(self, name: str) -> HostArena:
        if name not in self._attached:
            arena = HostArena(name, self._geometry, self._folder)
            gone = [known for known in self._attached if not (self._folder / known).exists()]
            for known in gone:  # the mapping closes with the last view of it
                del self._attached[known]
            self._attached[name] = arena
        return self._attached[name]
