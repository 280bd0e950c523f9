"""Where the bytes of a session lie in the arena: one header page, then equal blocks, one for each session.

A block, every part aligned to 256 bytes (what TensorRT asks of a tensor's address):

    layer 0: K [W, N, H, D], V [W, N, H, D]; layer 1: ...    KV slots; a slot prefix [0, S) is contiguous
    text_context [T, D_text]                                 float32
    bank 0: decoder cache 0 [C, 2, H, W], cache 1, ...       of the cache's type, like the slots
    bank 1: the same                                         a decode reads one bank and writes the other

The orchestrator makes the arena as a file of shared memory. An executor on a GPU keeps the blocks in its own memory
instead; then the file may end behind the header.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from math import prod

from contract.geometry import ITEM_BYTES, StudentGeometry

ALIGNMENT = 256
HEADER_BYTES = 4096
DECODER_BANKS = 2
_TEXT_ITEM_BYTES = 4

# Header page: magic, layout digest, number of blocks, then for each model that attaches an 8-byte probe cell and an
# 8-byte count of how often it has put the blocks into memory of its own, which ends with the process.
MAGIC = b"CHAMELEON-ARENA\x01"
DIGEST_OFFSET = 16
DIGEST_BYTES = 32
BLOCKS_OFFSET = 48
PROBE_OFFSET = 64
PROBE_CELL_BYTES = 8
BIRTHS_OFFSET = 128


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaLayout:
    """Offsets, in bytes from the start of the arena, of everything a session's block holds."""

    geometry: StudentGeometry
    blocks: int

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"an arena needs at least one block, got {self.blocks}")

    @property
    def slot_bytes(self) -> int:
        """One latent frame's keys (or values) in one layer: [N, H, D]."""
        return self.geometry.tokens_per_frame * self.geometry.dim * ITEM_BYTES[self.geometry.cache_dtype]

    @property
    def layer_bytes(self) -> int:
        """All W slots' keys (or values) of one layer."""
        return _aligned(self.geometry.window_frames * self.slot_bytes)

    @property
    def text_bytes(self) -> int:
        return _aligned(self.geometry.text_tokens * self.geometry.text_dim * _TEXT_ITEM_BYTES)

    @property
    def bank_bytes(self) -> int:
        return sum(self._decoder_cache_bytes(shape) for shape in self.geometry.decoder_cache_shapes)

    @property
    def block_bytes(self) -> int:
        kv_bytes = 2 * self.geometry.num_layers * self.layer_bytes
        return kv_bytes + self.text_bytes + DECODER_BANKS * self.bank_bytes

    @property
    def total_bytes(self) -> int:
        return HEADER_BYTES + self.blocks * self.block_bytes

    def block_offset(self, block: int) -> int:
        if not 0 <= block < self.blocks:
            raise ValueError(f"block {block} is not in [0, {self.blocks})")
        return HEADER_BYTES + block * self.block_bytes

    def key_offset(self, block: int, layer: int) -> int:
        """Slot 0 of the layer's keys; slot s lies `s * slot_bytes` behind it."""
        return self._kv_offset(block, layer, 0)

    def value_offset(self, block: int, layer: int) -> int:
        return self._kv_offset(block, layer, 1)

    def text_offset(self, block: int) -> int:
        return self.block_offset(block) + 2 * self.geometry.num_layers * self.layer_bytes

    def decoder_cache_offsets(self, block: int, bank: int) -> tuple[int, ...]:
        """Start of each decoder cache of a bank, in the order of `geometry.decoder_cache_shapes`."""
        if not 0 <= bank < DECODER_BANKS:
            raise ValueError(f"bank {bank} is not in [0, {DECODER_BANKS})")
        offset = self.text_offset(block) + self.text_bytes + bank * self.bank_bytes
        offsets = []
        for shape in self.geometry.decoder_cache_shapes:
            offsets.append(offset)
            offset += self._decoder_cache_bytes(shape)
        return tuple(offsets)

    @property
    def student_bytes(self) -> int:
        """The first part of a block, which the student's model uses: slots and text. The decoder's banks follow."""
        return self.block_bytes - DECODER_BANKS * self.bank_bytes

    def digest(self) -> bytes:
        """Identifies the layout: an engine refuses an arena whose header holds another."""
        text = json.dumps({"geometry": self.geometry.to_json(), "blocks": self.blocks}, sort_keys=True)
        return hashlib.sha256(text.encode()).digest()

    def _decoder_cache_bytes(self, shape: tuple[int, ...]) -> int:
        return _aligned(prod(shape) * ITEM_BYTES[self.geometry.cache_dtype])

    def _kv_offset(self, block: int, layer: int, which: int) -> int:
        if not 0 <= layer < self.geometry.num_layers:
            raise ValueError(f"layer {layer} is not in [0, {self.geometry.num_layers})")
        return self.block_offset(block) + (2 * layer + which) * self.layer_bytes
