"""The arena in memory of the executor's own, on a device: the file keeps the header, the blocks lie here.

Every model is a process of its own under Triton, so a model allocates its part of every block and nothing of the rest.
The memory ends with the process: a birth is counted in the header, so that the orchestrator notices a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.arena_layout import HEADER_BYTES, ArenaLayout
from contract.geometry import StudentGeometry
from executors.arena_file import SHARED_MEMORY, ArenaFile, Range, SlotPlaces
from executors.checks import check_block


class Part(Enum):
    """What of a block a model uses."""

    STUDENT = "slots and text"
    DECODER = "the decoder's banks"

    def span(self, layout: ArenaLayout) -> tuple[int, int]:
        """Begin and end within a block."""
        if self is Part.STUDENT:
            return 0, layout.student_bytes
        return layout.student_bytes, layout.block_bytes


class DeviceMemory(Protocol):
    """One allocation on a device, zero at first. Addresses are absolute; its work is ordered with the owner's other."""

    @property
    def pointer(self) -> int: ...

    def zero(self, address: int, size: int) -> None: ...

    def copy_rows(self, destination: int, source: int, *, width: int, pitch: int, rows: int) -> None:
        """Copy `width` bytes of each of `rows` rows that lie `pitch` bytes apart, in both places."""
        ...

    def free(self) -> None:
        """Nothing of it is used from now on."""
        ...


Memory = TypeVar("Memory", bound=DeviceMemory)


class DeviceArena(SlotPlaces, Generic[Memory]):
    """A model's part of every block. `recorded` is what the executor captured over its addresses, and dies with it."""

    def __init__(self, file: ArenaFile, part: Part, memory: Memory) -> None:
        super().__init__(file.layout)
        self.file = file
        self.memory = memory
        self.recorded: dict[Hashable, object] = {}
        self._begin, end = part.span(file.layout)
        self._part_bytes = end - self._begin

    def address(self, offset: int) -> int:
        block, within = divmod(offset - HEADER_BYTES, self.layout.block_bytes)
        place = within - self._begin
        assert 0 <= place < self._part_bytes, f"byte {within} of a block is not of this model's part"
        return self.memory.pointer + block * self._part_bytes + place

    def text(self, block: int) -> Range:
        """[T, D_text] float32."""
        shape = (self.geometry.text_tokens, self.geometry.text_dim)
        return Range(self.address(self.layout.text_offset(block)), shape)

    def decoder_caches(self, block: int, bank: int) -> list[Range]:
        """A bank's caches, in the manifest's order."""
        offsets = self.layout.decoder_cache_offsets(block, bank)
        return [
            Range(self.address(offset), shape)
            for offset, shape in zip(offsets, self.geometry.decoder_cache_shapes, strict=True)
        ]

    def move(self, block: int, moves: NDArray[np.int32]) -> None:
        """Copy slots (source, destination), keys and values of every layer; sources and destinations are disjoint."""
        slot, rows = self.layout.slot_bytes, 2 * self.geometry.num_layers
        base = self.address(self.layout.block_offset(block))
        for source, destination in moves.tolist():
            self.memory.copy_rows(
                base + destination * slot, base + source * slot, width=slot, pitch=self.layout.layer_bytes, rows=rows
            )

    def clear(self, block: int) -> None:
        """Zero the model's part of a block. Raises CallError for a block that is not there."""
        check_block(self.layout, block)
        self.memory.zero(self.memory.pointer + block * self._part_bytes, self._part_bytes)


class DeviceArenas(Generic[Memory]):
    """The arenas a model has seen. An orchestrator that starts anew brings a new name; the old one is let go."""

    def __init__(
        self,
        geometry: StudentGeometry,
        part: Part,
        *,
        probe_cell: int,
        allocate: Callable[[int], Memory],
        folder: Path = SHARED_MEMORY,
    ) -> None:
        """
        Args:
            allocate: makes zeroed memory of so many bytes.
        """
        self._geometry = geometry
        self._part = part
        self._cell = probe_cell
        self._allocate = allocate
        self._folder = folder
        self._attached: dict[str, DeviceArena[Memory]] = {}

    def attach(self, name: str) -> DeviceArena[Memory]:
        if name not in self._attached:
            file = ArenaFile(name, self._geometry, self._folder)
            # First let go, then take: a device has no room for two.
            for known in [known for known in self._attached if not (self._folder / known).exists()]:
                arena = self._attached.pop(known)
                arena.recorded.clear()
                arena.memory.free()
            begin, end = self._part.span(file.layout)
            memory = self._allocate(file.layout.blocks * (end - begin))
            file.born(self._cell)
            self._attached[name] = DeviceArena(file, self._part, memory)
        return self._attached[name]

    def probe(self, name: str) -> None:
        self.attach(name).file.probe(self._cell)
