# ruff: noqa: N802, N815 -- the names are CUDA's
"""The part of the CUDA runtime that executors use, on host memory: stands for `cuda.bindings.runtime`.

As on a device, work waits on its stream until somebody waits for it, captured work runs only when its graph is
launched, memory begins as garbage, and an address outside an allocation is an error.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

ALIGNMENT = 256
_GARBAGE = 0xAB

Work = Callable[[], None]


class Error(IntEnum):
    SUCCESS = 0
    OUT_OF_MEMORY = 2
    CAPTURE_UNSUPPORTED = 900


@dataclass
class _Stream:
    waiting: list[Work] = field(default_factory=list)
    captured: list[Work] | None = None


class FakeCuda:
    """One fake device. `launched` counts graph launches, `captures` the graphs made, `live` allocations."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = SimpleNamespace(
        cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down", cudaMemcpyDeviceToDevice="across"
    )
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread")

    def __init__(self, *, gpu: str = "Fake GPU", capability: tuple[int, int] = (9, 0), memory: int = 1 << 32) -> None:
        self._properties = SimpleNamespace(name=gpu.encode(), major=capability[0], minor=capability[1])
        self._memory = memory
        self._numbers = itertools.count(1)
        self._streams: dict[int, _Stream] = {}
        self._graphs: dict[int, list[Work]] = {}
        self.live: dict[int, tuple[int, Any]] = {}
        self.captures = 0
        self.launched = 0

    def cudaGetDeviceProperties(self, device: int) -> tuple[Error, Any]:
        assert device == 0
        return Error.SUCCESS, self._properties

    # Memory

    def cudaMalloc(self, size: int) -> tuple[Error, int]:
        if any(stream.captured is not None for stream in self._streams.values()):
            return Error.CAPTURE_UNSUPPORTED, 0
        if sum(taken for taken, _ in self.live.values()) + size > self._memory:
            return Error.OUT_OF_MEMORY, 0
        owner = np.full(size + ALIGNMENT, _GARBAGE, np.uint8)
        pointer = -(-owner.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.live[pointer] = (size, owner)
        return Error.SUCCESS, pointer

    def cudaFree(self, pointer: int) -> tuple[Error]:
        del self.live[pointer]
        return (Error.SUCCESS,)

    def check(self, pointer: int, size: int) -> None:
        """Fails unless the bytes lie within one allocation."""
        assert any(start <= pointer and pointer + size <= start + taken for start, (taken, _) in self.live.items()), (
            f"{size} bytes at {pointer:#x} are not within an allocation"
        )

    def cudaMemsetAsync(self, pointer: int, value: int, size: int, stream: int) -> tuple[Error]:
        self.check(pointer, size)
        return self.put(stream, lambda: ctypes.memset(pointer, value, size))

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: str, stream: int) -> tuple[Error]:
        if kind == "up":
            self.check(target, size)
            staged = ctypes.string_at(source, size)  # memory that is not page-locked is staged before the call returns
            return self.put(stream, lambda: ctypes.memmove(target, staged, size))
        assert kind == "down"
        self.check(source, size)
        return self.put(stream, lambda: ctypes.memmove(target, source, size))

    def cudaMemcpy2DAsync(
        self, target: int, to_pitch: int, source: int, from_pitch: int, width: int, rows: int, kind: str, stream: int
    ) -> tuple[Error]:
        assert kind == "across"
        assert width <= min(to_pitch, from_pitch)
        self.check(target, (rows - 1) * to_pitch + width)
        self.check(source, (rows - 1) * from_pitch + width)

        def copy() -> None:
            for row in range(rows):
                ctypes.memmove(target + row * to_pitch, source + row * from_pitch, width)

        return self.put(stream, copy)

    # Streams and graphs

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Error, int]:
        assert flags == self.cudaStreamNonBlocking
        number = next(self._numbers)
        self._streams[number] = _Stream()
        return Error.SUCCESS, number

    def put(self, stream: int, work: Work) -> tuple[Error]:
        at = self._streams[stream]
        (at.waiting if at.captured is None else at.captured).append(work)
        return (Error.SUCCESS,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Error]:
        at = self._streams[stream]
        if at.captured is not None:
            return (Error.CAPTURE_UNSUPPORTED,)
        while at.waiting:
            at.waiting.pop(0)()
        return (Error.SUCCESS,)

    def cudaStreamBeginCapture(self, stream: int, mode: str) -> tuple[Error]:
        assert mode == "thread"
        assert self._streams[stream].captured is None
        self._streams[stream].captured = []
        return (Error.SUCCESS,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Error, int]:
        captured = self._streams[stream].captured
        assert captured is not None
        self._streams[stream].captured = None
        number = next(self._numbers)
        self._graphs[number] = captured
        self.captures += 1
        return Error.SUCCESS, number

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[Error, int]:
        number = next(self._numbers)
        self._graphs[number] = list(self._graphs[graph])
        return Error.SUCCESS, number

    def cudaGraphDestroy(self, graph: int) -> tuple[Error]:
        del self._graphs[graph]
        return (Error.SUCCESS,)

    def cudaGraphExecDestroy(self, executable: int) -> tuple[Error]:
        del self._graphs[executable]
        return (Error.SUCCESS,)

    def cudaGraphLaunch(self, executable: int, stream: int) -> tuple[Error]:
        for work in self._graphs[executable]:
            self.put(stream, work)
        self.launched += 1
        return (Error.SUCCESS,)
