"""Device memory as one PyTorch tensor of bytes, with typed views of its ranges."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from executors.arena_file import Range


class TorchMemory:
    """DeviceMemory of PyTorch's allocator; on the CPU too, where the executor runs eagerly."""

    def __init__(self, size: int, device: torch.device) -> None:
        self._bytes = torch.zeros(size, dtype=torch.uint8, device=device)

    @property
    def pointer(self) -> int:
        return self._bytes.data_ptr()

    def view(self, range_: Range, dtype: torch.dtype) -> Tensor:
        """The array that lies at a range; to PyTorch no view of the bytes, whose size a compiler would ask about."""
        place, rest = divmod(range_.pointer - self.pointer, dtype.itemsize)
        assert not rest, "an array lies at a multiple of its items' size"
        shape = range_.shape
        strides = [prod(max(size, 1) for size in shape[axis + 1 :]) for axis in range(len(shape))]
        return self._array(dtype, place, shape, strides)

    def zero(self, address: int, size: int) -> None:
        begin = address - self.pointer
        self._bytes[begin : begin + size].zero_()

    def copy_rows(self, destination: int, source: int, *, width: int, pitch: int, rows: int) -> None:
        self._rows(destination, width, pitch, rows).copy_(self._rows(source, width, pitch, rows))

    def free(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def _rows(self, address: int, width: int, pitch: int, rows: int) -> Tensor:
        begin = address - self.pointer
        # A GPU copies what does not lie in one piece item by item.
        dtype = torch.uint8 if (begin | width | pitch) % torch.int64.itemsize else torch.int64
        size = dtype.itemsize
        return self._array(dtype, begin // size, (rows, width // size), (pitch // size, 1))

    def _array(self, dtype: torch.dtype, place: int, shape: Sequence[int], strides: Sequence[int]) -> Tensor:
        array = torch.empty(0, dtype=dtype, device=self._bytes.device)
        return array.set_(self._bytes.untyped_storage(), place, shape, strides)
