"""Graphs whose weights are too large to hold: traced without them, and written weight by weight as each is read.

    prepare(student, ...)    if the graph shall have time tables and fused QKV
    hollow(student, ...)     the student's parameters become fake: they have shapes and types, and no memory
    stream(graph, ...)       trace such a graph; its weights are read when they are written, one at a time
    write(...)               graphs and one file of weights beside them

So memory holds the graph and the largest tensor, twice where it is transposed (docs/student-5b.md has figures).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.onnx._internal.exporter._core import TorchTensor, torch_dtype_to_onnx_dtype

from contract.tensors import STUDENT, TEXT_ENCODER, VAE_DECODER, VAE_ENCODER
from export.graphs import Graph
from export.to_onnx import OPSET, forget_origin, trace
from student import inference
from student.checkpoint_files import Readers
from student.student import Student

PARTS = {"text_encoder": (TEXT_ENCODER,), "vae": (VAE_ENCODER, VAE_DECODER), "network": (STUDENT,)}
"""A student's network -> the models whose graphs have its weights."""
_PART_OF = {model: part for part, models in PARTS.items() for model in models}
_INLINE_AT_MOST_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSize:
    """What a graph takes on disk.

    Attributes:
        nodes: of the graph, after constants were folded.
        graph_bytes: of the .onnx file, small tensors included.
        weights: bytes of each tensor outside of that file.
    """

    nodes: int
    graph_bytes: int
    weights: Mapping[str, int]

    @property
    def weight_bytes(self) -> int:
        return sum(self.weights.values())


def hollow(student: Student, *, dtype: torch.dtype) -> FakeTensorMode:
    """Make a student's parameters fake, in place: of the CPU, of `dtype`, without memory. Buffers stay real.

    Returns:
        The mode in which graphs of that student are traced.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    made: dict[int, nn.Parameter] = {}  # tied parameters stay tied
    for module in (student.network, student.vae, student.text_encoder):
        for parent in module.modules():
            for name, parameter in list(parent.named_parameters(recurse=False)):
                if id(parameter) not in made:
                    with mode:
                        fake = torch.empty(parameter.shape, dtype=dtype)
                    made[id(parameter)] = nn.Parameter(fake, requires_grad=False)
                setattr(parent, name, made[id(parameter)])
    return mode


def prepare(student: Student, weights: Readers, *, dtype: torch.dtype) -> Readers:
    """`student.inference.prepare` for shapes only, in place, before they are made hollow: time tables and fused QKV.

    Only what the tables are computed from is read now.

    Returns:
        The readers, with those of the fused weights.
    """
    network = student.network.to(dtype)
    for parent_name, parent in network.named_modules():
        for name, _ in list(parent.named_parameters(recurse=False)):
            path = f"{parent_name}.{name}".removeprefix(".")
            if path.startswith("time_"):
                real = weights[f"network.{path}"]().to(dtype)
                setattr(parent, name, nn.Parameter(real, requires_grad=False))
    inference.prepare(network, student.schedule)
    fused = dict(weights)
    for layer in range(len(network.blocks)):
        for name in ("weight", "bias"):
            attention = f"network.blocks.{layer}.self_attn"
            parts = [weights[f"{attention}.{part}.{name}"] for part in "qkv"]
            fused[f"{attention}.qkv.{name}"] = partial(_joined, parts)
    return fused


def stream(graph: Graph, weights: Readers, mode: FakeTensorMode, *, opset: int = OPSET) -> ir.Model:
    """Trace a graph of a hollow student. Its weights are read, by their names in the student, when they are written."""
    with mode:
        program = trace(graph, opset=opset, optimize=False)
    part, names = _PART_OF[graph.path.split("/")[0]], _first_names(graph.module)
    for name, value in program.model.graph.initializers.items():
        reader = weights.get(f"{part}.{names.get(name, name).removeprefix('part.')}")
        if reader is not None:
            assert isinstance(value.const_value, TorchTensor)
            value.const_value = _lazy(name, reader, value.const_value.raw)
    _transpose_lazily(program.model.graph)
    program.optimize()
    return program.model


def write(models: Mapping[Path, ir.Model], *, weights: str) -> list[GraphSize]:
    """Save graphs of one folder and, in the file `weights` beside them, their large tensors, those of one name once.

    The file is written with the graph that has most; what only another one has stays within that.

    Returns:
        In the order of `models`.

    Raises:
        onnx.checker.ValidationError: if what was written is no valid graph.
    """
    known: dict[str, ir.ExternalTensor] = {}
    sizes = {}
    for path, model in sorted(models.items(), key=lambda entry: _initializer_bytes(entry[1]), reverse=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        for name, value in model.graph.initializers.items():
            if name in known:
                value.const_value = known[name]
        if not known:
            ir.external_data.unload_from_model(
                model, path.parent, weights, size_threshold_bytes=_INLINE_AT_MOST_BYTES + 1
            )
        tensors = {name: value.const_value for name, value in model.graph.initializers.items()}
        known |= {name: tensor for name, tensor in tensors.items() if isinstance(tensor, ir.ExternalTensor)}
        proto = ir.to_proto(model)
        forget_origin(proto)
        path.write_bytes(proto.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(path))
        sizes[path] = _size(model, path.stat().st_size)
    return [sizes[path] for path in models]


def measured(model: ir.Model) -> GraphSize:
    """What `write` would write of a graph; its weights are not read."""
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > _INLINE_AT_MOST_BYTES:
            shape = ir.Shape(tensor.shape.numpy())
            value.const_value = ir.ExternalTensor("weights.bin", 0, tensor.nbytes, tensor.dtype, shape=shape, name=name)
    proto = ir.to_proto(model)
    forget_origin(proto)
    return _size(model, proto.ByteSize())


def _initializer_bytes(model: ir.Model) -> int:
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _size(model: ir.Model, graph_bytes: int) -> GraphSize:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    weights = {str(tensor.name): tensor.nbytes for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}
    return GraphSize(nodes=len(model.graph), graph_bytes=graph_bytes, weights=weights)


def _joined(parts: Sequence[Callable[[], Tensor]]) -> Tensor:
    return torch.cat([read() for read in parts])


def _first_names(module: nn.Module) -> dict[str, str]:
    """A tied parameter's names -> the first of them, under which its weights are known."""
    first: dict[int, str] = {}
    every = module.named_parameters(remove_duplicate=False)
    return {name: first.setdefault(id(parameter), name) for name, parameter in every}


def _lazy(name: str, reader: Callable[[], Tensor], traced: Tensor) -> ir.LazyTensor:
    """A weight that is read when it is written, in the shape and type that were traced."""

    def read() -> TorchTensor:
        tensor = reader()
        if tensor.shape != traced.shape:  # a convolution of which only the newest tap is left
            tensor = tensor[:, :, -1:]
        return TorchTensor(tensor.to(traced.dtype).contiguous(), name)

    return ir.LazyTensor(read, dtype=torch_dtype_to_onnx_dtype(traced.dtype), shape=ir.Shape(traced.shape), name=name)


def _transpose_lazily(graph: ir.Graph) -> None:
    """Linear layers transpose their weights: let the weights be written transposed, so that nobody holds both."""
    for node in list(graph):
        weight = node.inputs[0] if node.op_type == "Transpose" else None
        if weight is None or not isinstance(weight.const_value, ir.LazyTensor):
            continue
        assert weight.name is not None
        name = f"{weight.name}.transposed"
        if name not in graph.initializers:
            graph.initializers.add(_transposed(name, weight.const_value, node.attributes["perm"].as_ints()))
        ir.convenience.replace_all_uses_with(node.outputs[0], graph.initializers[name])
        graph.remove(node, safe=True)
        if not weight.uses():
            del graph.initializers[weight.name]


def _transposed(name: str, weight: ir.LazyTensor, permutation: Sequence[int]) -> ir.Value:
    shape = ir.Shape([weight.shape[axis] for axis in permutation])

    def read() -> TorchTensor:
        original = weight.raw()
        assert isinstance(original, TorchTensor)
        return TorchTensor(original.raw.permute(*permutation).contiguous(), name)

    tensor = ir.LazyTensor(read, dtype=weight.dtype, shape=shape, name=name)
    return ir.Value(name=name, shape=shape, type=ir.TensorType(weight.dtype), const_value=tensor)
