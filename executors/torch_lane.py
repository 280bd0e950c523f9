"""A stream of an executor's own, and CUDA graphs on it. On a CPU both are absent: work simply runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, MutableMapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_capturing = threading.Lock()
_CONVOLUTIONS_TRIED = 4
"""Of cuDNN's ways for a shape, in its own order of promise. It names ten; the last ones' first run takes long."""


def try_convolutions() -> None:
    """Let cuDNN choose by trying: for shapes that recur, each of which runs once before it is captured."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.benchmark_limit = _CONVOLUTIONS_TRIED


class Lane:
    """Orders an executor's work. Two lanes of one process overlap: a decode runs beside the next chunk's passes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._warm: set[Hashable] = set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What is called within goes to this stream; when left, all of it has been done."""
        if self._stream is not None:
            # Weights come to be on the caller's stream (random, converted, relaid), which this one does not wait for
            # by itself.
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.no_grad(), torch.cuda.stream(self._stream):  # a stream of None changes nothing
            yield
            if self._stream is not None:
                self._stream.synchronize()

    def play(
        self, recorded: MutableMapping[Hashable, object], key: Hashable, shape: Hashable, work: Callable[[], None]
    ) -> None:
        """Run `work`, at the first time as it stands, from then on as the CUDA graph captured of it.

        Args:
            recorded: the graphs so far; they hold addresses, so they live where the memory does.
            key: of the addresses that `work` uses.
            shape: of the kernels that `work` launches. The first of a shape compiles and chooses, and is not captured.
            work: uses the same memory each time, and may be repeated.
        """
        if self._stream is None:
            work()
            return
        if shape not in self._warm:
            work()
            self._warm.add(shape)
            return
        graph = recorded.get(key)
        if graph is None:
            graph = torch.cuda.CUDAGraph()
            # One capture at a time in a process, PyTorch asks; another lane's thread may allocate meanwhile.
            with (
                _capturing,
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                work()
            recorded[key] = graph
        assert isinstance(graph, torch.cuda.CUDAGraph)
        graph.replay()

    def fill(self, target: Tensor, array: NDArray[np.generic]) -> None:
        """Upload; the array may be changed as soon as this returns."""
        target.copy_(torch.from_numpy(np.ascontiguousarray(array)))

    def fetch(self, source: Tensor) -> NDArray[np.generic]:
        """Download into memory of the caller's own."""
        array: NDArray[np.generic] = source.to("cpu", copy=True).numpy()
        return array
