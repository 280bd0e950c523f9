"""PyTorch module to ONNX, without traces of the machine it was made on; kindred graphs share one file of weights."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from onnx import external_data_helper, numpy_helper

from export.graphs import Graph

OPSET = 20
_ALIGNMENT = 64
_SHARED_AT_LEAST_BYTES = 1024


def to_onnx(graph: Graph, *, opset: int = OPSET) -> onnx.ModelProto:
    """Trace a graph and convert it, weights included; the same weights and versions give the same bytes."""
    model = trace(graph, opset=opset).model_proto
    forget_origin(model)
    onnx.checker.check_model(model)
    return model


def trace(graph: Graph, *, opset: int = OPSET, optimize: bool = True) -> torch.onnx.ONNXProgram:
    """A graph as the exporter has it; `optimize` folds constants, for which it reads the weights."""
    inputs = graph.inputs(graph.example)
    dynamic = tuple(graph.dynamic_shapes.get(name, {}) for name in inputs)
    # The exporter tells of torchvision's absence, and warns of its own inner deprecations.
    for name in ("torch.onnx", "onnx_ir", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(graph.output_names),
            dynamic_shapes=(dynamic,) if graph.dynamic_shapes else None,
            opset_version=opset,
            dynamo=True,
            optimize=optimize,
            verbose=False,
        )
    assert program is not None
    return program


def write(models: Mapping[Path, onnx.ModelProto], *, shared_weights: Path | None = None) -> None:
    """Save graphs; with `shared_weights` their large tensors go, each once, into that file beside them."""
    for path in models:
        path.parent.mkdir(parents=True, exist_ok=True)
    if shared_weights is not None:
        _share(list(models.values()), shared_weights)
    for path, model in models.items():
        path.write_bytes(model.SerializeToString(deterministic=True))


def forget_origin(model: onnx.ModelProto) -> None:
    """Drop stack traces and paths, which the exporter keeps beside every node."""
    del model.metadata_props[:]
    bodies: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    for body in bodies:
        del body.metadata_props[:]
        for node in body.node:
            del node.metadata_props[:]
            node.ClearField("doc_string")
    graph = model.graph
    values: list[onnx.ValueInfoProto | onnx.TensorProto] = [*graph.value_info, *graph.input, *graph.output]
    for value in (*values, *graph.initializer):
        del value.metadata_props[:]
        value.ClearField("doc_string")


def _share(models: list[onnx.ModelProto], path: Path) -> None:
    offsets: dict[bytes, int] = {}
    with path.open("wb") as file:
        for tensor in (tensor for model in models for tensor in model.graph.initializer):
            data = numpy_helper.to_array(tensor).tobytes()
            if len(data) < _SHARED_AT_LEAST_BYTES:
                continue
            digest = hashlib.sha256(data).digest()
            if digest not in offsets:
                file.write(bytes(-file.tell() % _ALIGNMENT))
                offsets[digest] = file.tell()
                file.write(data)
            tensor.raw_data = data
            external_data_helper.set_external_data(tensor, path.name, offset=offsets[digest], length=len(data))
            tensor.ClearField("raw_data")
