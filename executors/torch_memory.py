"""Device memory as one PyTorch tensor of bytes, with typed views of its ranges."""

from __future__ import annotations

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
        """The array that lies at a range."""
        begin = range_.pointer - self.pointer
        end = begin + prod(range_.shape) * dtype.itemsize
        return self._bytes[begin:end].view(dtype).view(range_.shape)

    def zero(self, address: int, size: int) -> None:
        begin = address - self.pointer
        self._bytes[begin : begin + size].zero_()

    def copy_rows(self, destination: int, source: int, *, width: int, pitch: int, rows: int) -> None:
        self._rows(destination, width, pitch, rows).copy_(self._rows(source, width, pitch, rows))

    def free(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def _rows(self, address: int, width: int, pitch: int, rows: int) -> Tensor:
        return self._bytes.as_strided((rows, width), (pitch, 1), address - self.pointer)
