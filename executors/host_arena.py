"""The arena of a host engine, seen from the engine's side: the blocks lie in the shared-memory file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.geometry import StudentGeometry
from executors.arena_file import SHARED_MEMORY, ArenaFile, SlotPlaces


class HostArena(SlotPlaces):
    """Pointers and views into an attached arena."""

    def __init__(self, name: str, geometry: StudentGeometry, folder: Path = SHARED_MEMORY) -> None:
        """Attach. Raises CallError as `ArenaFile` does, and if the file holds no blocks."""
        self.file = ArenaFile(name, geometry, folder)
        self.file.require_blocks()
        super().__init__(self.file.layout)
        self._map = self.file.map
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._base: int = self._bytes.ctypes.data

    def address(self, offset: int) -> int:
        return self._base + offset

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
