"""ONNX Runtime on the host: sessions, and arrays bound by pointer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike, NDArray

from executors.cores import usable_cores

THREADS_VARIABLE = "CHAMELEON_ENGINE_THREADS"


def default_threads() -> int:
    """Half of the cores: a session's decoding and its next chunk's denoising run side by side, and more threads than
    cores only wait for each other."""
    return max(1, int(usable_cores()) // 2)


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A CPU session. Threads that wait must not spin: several models share the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get(THREADS_VARIABLE) or default_threads())
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Binding:
    """One run's inputs and outputs. What is bound must live until `run` returns."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._binding = session.io_binding()

    def read(self, name: str, array: NDArray[np.generic]) -> None:
        self.read_pointer(name, array.dtype, array.shape, array.ctypes.data)

    def write(self, name: str, array: NDArray[np.generic]) -> None:
        self.write_pointer(name, array.dtype, array.shape, array.ctypes.data)

    def read_pointer(self, name: str, dtype: DTypeLike, shape: Sequence[int], pointer: int) -> None:
        self._binding.bind_input(name, "cpu", 0, dtype, shape, pointer)

    def write_pointer(self, name: str, dtype: DTypeLike, shape: Sequence[int], pointer: int) -> None:
        self._binding.bind_output(name, "cpu", 0, dtype, shape, pointer)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)
