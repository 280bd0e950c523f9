"""PyTorch against ONNX Runtime on random inputs, through Polygraphy's comparator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from polygraphy.backend.base import BaseRunner
from polygraphy.backend.onnxrt import OnnxrtRunner
from polygraphy.common import TensorMetadata
from polygraphy.comparator import Comparator, SimpleCompareFunc
from polygraphy.logger import G_LOGGER

from export.graphs import Graph

TOLERANCE = 1e-4
"""Absolute, in float32."""
PIXEL_TOLERANCE = 1
"""One grey level: a value half way between two may round to either."""
_PIXEL_OUTPUT = "frame"
_SEED = 0

Arrays = dict[str, npt.NDArray[Any]]


class ParityError(RuntimeError):
    """A graph does not compute what the module it was made from computes."""


class _TorchRunner(BaseRunner):  # type: ignore[misc]
    """A graph's module as Polygraphy sees an engine."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(name="PyTorch")
        self._graph = graph

    def get_input_metadata_impl(self) -> TensorMetadata:
        metadata = TensorMetadata()
        for name, tensor in self._graph.inputs(self._graph.example).items():
            varies = self._graph.dynamic_shapes.get(name, {})
            shape = tuple(None if axis in varies else size for axis, size in enumerate(tensor.shape))
            metadata.add(name, dtype=tensor.numpy().dtype, shape=shape)
        return metadata

    def infer_impl(self, feed_dict: Arrays) -> Arrays:
        start_s = time.perf_counter()
        with torch.no_grad():
            outputs = self._graph.module(
                *(torch.from_numpy(feed_dict[name]) for name in self.get_input_metadata_impl())
            )
        self.inference_time = time.perf_counter() - start_s
        return {name: value.contiguous().numpy() for name, value in zip(self._graph.output_names, outputs, strict=True)}


def check(graph: Graph, path: Path, *, threads: int = 2) -> float:
    """Compare at every one of the graph's sizes.

    Returns:
        The largest absolute error over all float outputs.

    Raises:
        ParityError: if an output differs by more than its tolerance.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    torch.manual_seed(_SEED)
    feeds = [{name: value.numpy() for name, value in graph.inputs(size).items()} for size in graph.sizes]
    tolerances: dict[str, float] = {"": TOLERANCE, _PIXEL_OUTPUT: PIXEL_TOLERANCE}
    # It also divides by zeros, for relative errors that nobody asked for.
    with G_LOGGER.verbosity(G_LOGGER.ERROR), np.errstate(divide="ignore", invalid="ignore"):
        results = Comparator.run([_TorchRunner(graph), OnnxrtRunner(session, name="ONNX Runtime")], data_loader=feeds)
        compare = SimpleCompareFunc(atol=tolerances, rtol=0.0, check_error_stat="max")
        accuracy = Comparator.compare_accuracy(results, compare_func=compare)
    error = _largest_error(results)
    if not accuracy:
        raise ParityError(
            f"{graph.path}: PyTorch and ONNX Runtime differ by up to {error:.1e} (at most {TOLERANCE:.0e})"
        )
    return error


def _largest_error(results: Any) -> float:
    (_, torch_runs), (_, onnx_runs) = results.items()
    return max(
        float(np.abs(want - got[name]).max())
        for want_all, got in zip(torch_runs, onnx_runs, strict=True)
        for name, want in want_all.items()
        if want.dtype == np.float32
    )
