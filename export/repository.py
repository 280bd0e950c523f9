"""The writer of a model repository's graphs: each exported, checked against PyTorch, and only then sealed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contract.tensors import MANIFEST_FILE, VAE_DECODER, Manifest
from export import parity, seal
from export.graphs import graphs
from export.to_onnx import OPSET, to_onnx, write
from student.student import Student

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
    write(together, shared_weights=decoder / "weights.bin")
    for graph in all_graphs:
        path = root / graph.path
        error = parity.check(graph, path)
        yield f"{graph.path}: {path.stat().st_size:,} bytes, largest error against PyTorch {error:.1e}"
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
    yield f"{MANIFEST_FILE}: {len(files)} files, {total:,} bytes"
