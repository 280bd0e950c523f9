"""The small part of the CUDA runtime that an executor without PyTorch needs: memory, one stream, graphs.

`runtime` is `cuda.bindings.runtime` (NVIDIA's cuda-bindings), whose every function returns (error, *results).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CudaError(RuntimeError):
    """The device or its driver failed a call; says which."""


class CudaStream:
    """An executor's own stream and what is put on it. Two of one process overlap."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        # Not the legacy stream's: it would wait for every other stream of the process, and they for it.
        (self._stream,) = self._call("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)

    @property
    def handle(self) -> int:
        return int(self._stream)

    def allocate(self, size: int) -> CudaMemory:
        """Zeroed memory. Raises CudaError if the device has no room."""
        (pointer,) = self._call("cudaMalloc", size)
        memory = CudaMemory(self, int(pointer))
        memory.zero(memory.pointer, size)
        return memory

    def free(self, pointer: int) -> None:
        self._call("cudaFree", pointer)

    def upload(self, pointer: int, array: NDArray[np.generic]) -> None:
        """The array may be changed as soon as this returns: CUDA stages what is not page-locked."""
        array = np.ascontiguousarray(array)
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", pointer, array.ctypes.data, array.nbytes, kind, self._stream)

    def download(self, array: NDArray[np.generic], pointer: int) -> None:
        """The array is filled once `wait` has returned."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, pointer, array.nbytes, kind, self._stream)

    def zero(self, pointer: int, size: int) -> None:
        self._call("cudaMemsetAsync", pointer, 0, size, self._stream)

    def copy_rows(self, destination: int, source: int, *, width: int, pitch: int, rows: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._call("cudaMemcpy2DAsync", destination, pitch, source, pitch, width, rows, kind, self._stream)

    def wait(self) -> None:
        """Until everything on the stream has been done."""
        self._call("cudaStreamSynchronize", self._stream)

    def play(
        self, recorded: MutableMapping[Hashable, object], key: Hashable, shape: Hashable, work: Callable[[], None]
    ) -> None:
        """Put `work` on the stream, at the first time as it stands, from then on as the graph captured of it.

        Args:
            recorded: the graphs so far; they hold addresses, so they live where the memory does.
            key: of the addresses that `work` uses.
            shape: of what `work` launches; the first run of a shape chooses kernels and allocates, so it is not
                captured. Kept in `recorded` too.
            work: uses the same memory each time, and may be repeated.
        """
        if ("warm", shape) not in recorded:
            work()
            recorded["warm", shape] = True  # only now: what failed has not allocated, and may not while captured
            return
        if key not in recorded:
            recorded[key] = self._capture(work)
        graph = recorded[key]
        assert isinstance(graph, CudaGraph)
        self._call("cudaGraphLaunch", graph.executable, self._stream)

    def _capture(self, work: Callable[[], None]) -> CudaGraph:
        runtime = self._runtime
        # Other executors' threads may allocate meanwhile.
        self._call(
            "cudaStreamBeginCapture", self._stream, runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        )
        try:
            work()
        finally:
            (graph,) = self._call("cudaStreamEndCapture", self._stream)
        (executable,) = self._call("cudaGraphInstantiate", graph, 0)
        self._call("cudaGraphDestroy", graph)
        return CudaGraph(runtime, executable)

    def _call(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        error, *results = getattr(self._runtime, name)(*arguments)
        if int(error):
            raise CudaError(f"{name}: {error}")
        return tuple(results)


class CudaGraph:
    """A captured graph, ready to launch; destroyed with this object."""

    def __init__(self, runtime: Any, executable: Any) -> None:
        self._runtime = runtime
        self.executable = executable

    def __del__(self) -> None:
        self._runtime.cudaGraphExecDestroy(self.executable)


class CudaMemory:
    """DeviceMemory on a stream."""

    def __init__(self, stream: CudaStream, pointer: int) -> None:
        self._stream = stream
        self.pointer = pointer

    def zero(self, address: int, size: int) -> None:
        self._stream.zero(address, size)

    def copy_rows(self, destination: int, source: int, *, width: int, pitch: int, rows: int) -> None:
        self._stream.copy_rows(destination, source, width=width, pitch=pitch, rows=rows)

    def free(self) -> None:
        self._stream.wait()
        self._stream.free(self.pointer)


def cuda_runtime() -> Any:
    """The real one. Raises ImportError with the way to get it."""
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise ImportError("the TensorRT executors need NVIDIA's cuda-bindings: pip install cuda-bindings") from error
    return runtime
