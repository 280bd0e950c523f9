"""The stateless encoders over TensorRT: arrays in, array out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.tensors import DType, Manifest, Model
from executors.arena_file import Range
from executors.base import Arrays
from executors.cuda import CudaStream
from executors.tensorrt_engine import EngineFolder, Toolkit

_TYPES: dict[str, Any] = {DType.FP32: np.float32, DType.UINT8: np.uint8, DType.INT64: np.int64}


class TensorrtEncoder:
    """EncoderExecutor over the engine of a model. What a request batches runs one behind the other."""

    def __init__(self, engines: Path, repository: Manifest, model: Model, *, toolkit: Toolkit | None = None) -> None:
        """Raises EngineError if the engines do not belong to this machine or this repository."""
        toolkit = toolkit or Toolkit.installed()
        self._stream = CudaStream(toolkit.cuda)
        self._engine = EngineFolder(engines, repository, toolkit).open(model.name, self._stream)
        (self._output,) = model.outputs
        self._names = [tensor.name for tensor in model.inputs]
        sizes = {
            t.name: int(np.prod(t.shape)) * np.dtype(_TYPES[t.dtype]).itemsize for t in (*model.inputs, self._output)
        }
        self._memories = {name: self._stream.allocate(size) for name, size in sizes.items()}

    def run(self, requests: Sequence[Arrays]) -> list[NDArray[Any]]:
        """Each request's inputs are [b, ...]; so is each result."""
        return [self._request(request) for request in requests]

    def _request(self, request: Arrays) -> NDArray[Any]:
        rows = zip(*(request[name] for name in self._names), strict=True)
        return np.stack([self._one(row) for row in rows])

    def _one(self, row: Sequence[NDArray[Any]]) -> NDArray[Any]:
        inputs = {}
        for name, array in zip(self._names, row, strict=True):
            pointer = self._memories[name].pointer
            self._stream.upload(pointer, array)
            inputs[name] = Range(pointer, (1, *array.shape))
        pointer = self._memories[self._output.name].pointer
        outputs = {self._output.name: Range(pointer, (1, *self._output.shape))}
        self._engine.enqueue(self._engine.profile(B=1), inputs, outputs)
        result: NDArray[Any] = np.empty(self._output.shape, _TYPES[self._output.dtype])
        self._stream.download(result, pointer)
        self._stream.wait()
        return result
