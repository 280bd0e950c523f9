"""The writer of a model repository's graphs: each exported, checked against PyTorch, and only then sealed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from contract.tensors import MANIFEST_FILE, VAE_DECODER, Manifest
from export import parity, seal, streamed
from export.graphs import graphs
from export.to_onnx import OPSET, to_onnx, write
from student.checkpoint_files import Readers
from student.student import Student

_WEIGHTS = "weights.bin"
_TOOLS = ("torch", "onnx", "onnxscript", "diffusers", "transformers")


def write_onnx(student: Student, root: Path, *, made: dict[str, Any], opset: int = OPSET) -> Iterator[str]:
    """Write every graph of a student, compare it with PyTorch, then write the manifest and the configs.

    Args:
        made: how the weights came to be, for the manifest.

    Yields:
        A line on each file.

    Raises:
        ParityError: if a graph does not compute what PyTorch computes; the manifest is then left as it was.
    """
    all_graphs = graphs(student)
    decoder = root / VAE_DECODER / seal.VERSION
    together = {}
    for graph in all_graphs:
        path, model = root / graph.path, to_onnx(graph, opset=opset)
        if path.parent == decoder:
            together[path] = model
        else:
            write({path: model})
    # `first` and `next` have the same weights.
    write(together, shared_weights=decoder / _WEIGHTS)
    for graph in all_graphs:
        path = root / graph.path
        error = parity.check(graph, path)
        yield f"{graph.path}: {path.stat().st_size:,} bytes, largest error against PyTorch {error:.1e}"
    yield _sealed(student, root, made=made, opset=opset)


def write_streamed(
    student: Student,
    weights: Readers,
    root: Path,
    *,
    made: dict[str, Any],
    dtype: torch.dtype,
    only: Collection[str] = (),
    opset: int = OPSET,
) -> Iterator[str]:
    """Write graphs of a student that is too large to hold, then the manifest and the configs.

    Every file is checked as ONNX. It is not compared with PyTorch, for which both would have to be held.

    Args:
        student: shapes only (`WanSizes.meta`); its parameters are changed in place.
        weights: what to write, by `student.wan.named_parameters`' names.
        only: models whose graphs are written; all of them if empty. The manifest lists what the repository then holds.

    Yields:
        A line on each file.
    """
    mode = streamed.hollow(student, dtype=dtype)
    for folder, group in groupby(graphs(student), key=lambda graph: Path(graph.path).parent):
        if only and folder.parent.name not in only:
            continue
        models = {root / graph.path: streamed.stream(graph, weights, mode, opset=opset) for graph in group}
        for path, size in zip(models, streamed.write(models, weights=_WEIGHTS), strict=True):
            yield f"{path.relative_to(root)}: {size.nodes:,} nodes, {size.graph_bytes:,} bytes"
        yield f"{folder / _WEIGHTS}: {(root / folder / _WEIGHTS).stat().st_size:,} bytes"
    yield _sealed(student, root, made=made, opset=opset)


def size_report(
    student: Student, weights: Readers, *, dtype: torch.dtype, only: Collection[str] = (), opset: int = OPSET
) -> Iterator[str]:
    """What `write_streamed` would write, without reading a weight.

    Yields:
        Lines of a table.
    """
    mode, total = streamed.hollow(student, dtype=dtype), 0
    yield f"{'graph':36}{'nodes':>8}{'graph, bytes':>14}{'weights, bytes':>17}"
    for folder, group in groupby(graphs(student), key=lambda graph: Path(graph.path).parent):
        if only and folder.parent.name not in only:
            continue
        shared: dict[str, int] = {}
        for graph in group:
            size = streamed.measured(streamed.stream(graph, weights, mode, opset=opset))
            yield f"{graph.path:36}{size.nodes:8,}{size.graph_bytes:14,}{size.weight_bytes:17,}"
            shared |= size.weights
            total += size.graph_bytes
        total += sum(shared.values())
    yield f"{'on disk, shared weights once':36}{'':22}{total:17,}"


def _sealed(student: Student, root: Path, *, made: dict[str, Any], opset: int) -> str:
    """Write manifest and configs over the files that are there; a line on it."""
    files = seal.digests(root)
    tools = {name: version(name) for name in _TOOLS}
    manifest = Manifest(
        geometry=student.geometry,
        schedule=student.schedule,
        tokenizer=student.tokenizer,
        files=files,
        made={**made, "opset": opset, "tools": tools},
    )
    seal.write_manifest(root, manifest)
    seal.write_configs(root)
    total = sum((root / name).stat().st_size for name in files)
    return f"{MANIFEST_FILE}: {len(files)} files, {total:,} bytes"
