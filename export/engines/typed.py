"""A student's graphs in the precision they are built in: strongly typed engines compute in the types of their graph."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from contract.engine_manifest import Precision
from contract.geometry import StudentGeometry
from export.graphs import Graph, graphs
from export.to_onnx import trace
from student.student import Student

DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP8: torch.bfloat16}
"""The type of everything that is not quantised."""


def in_precision(student: Student, precision: Precision) -> Student:
    """The same weights in another type; `export.engines.fp8` rounds the linears further."""
    parts = {
        name: copy.deepcopy(getattr(student, name)).to(DTYPES[precision]) for name in ("network", "vae", "text_encoder")
    }
    for name in ("mean", "std"):  # latents are normalised in float32
        getattr(parts["vae"], name).data = getattr(student.vae, name)
    return replace(student, **parts)


def write(student: Student, root: Path, *, only: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Write a student's graphs with their weights in files beside them, in the layout of a model repository.

    Inputs and outputs keep the types that the geometry states, whatever the weights' type is.

    Args:
        only: paths of the graphs to write; empty: all.
    """
    for graph in graphs(student):
        if only and graph.path not in only:
            continue
        path = root / graph.path
        path.parent.mkdir(parents=True, exist_ok=True)
        border = replace(graph, module=_Border(graph, student.geometry, student.vae.vae.dtype))
        trace(border).save(str(path), external_data=True)
        yield path


class _Border(nn.Module):
    """A graph's module between tensors of the cache's type."""

    def __init__(self, graph: Graph, geometry: StudentGeometry, decoder_dtype: torch.dtype) -> None:
        super().__init__()
        self.module = graph.module
        self._input_dtypes = [
            decoder_dtype if name.startswith("cache_") else None for name in graph.inputs(graph.example)
        ]
        cache_dtype = getattr(torch, geometry.cache_dtype)
        self._output_dtypes = [cache_dtype if name.startswith("new_") else None for name in graph.output_names]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = self.module(*map(_as, inputs, self._input_dtypes))
        return tuple(map(_as, outputs, self._output_dtypes))


def _as(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor if dtype is None else tensor.to(dtype)
