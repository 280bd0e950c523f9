"""`python -m export onnx --student 5b`: which weights, which sizes, and where to."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from export import parity, seal
from export.graphs import graphs
from export.repository import size_report, write_streamed
from export.streamed import PARTS, prepare
from student import inference, wan_5b
from student.checkpoint_files import Readers
from student.student import Student
from student.wan import WanFiles, WanSizes, open_weights, random_weights

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
PRECISIONS = tuple(_DTYPES)


def write(options: argparse.Namespace) -> Iterator[str]:
    """Write, or with `--report` measure, the graphs of the 5B student.

    Yields:
        A line on each file.

    Raises:
        ValueError: for options that do not go together, and CheckpointError for weights that do not fit.
        FileNotFoundError: if a part of the checkpoint is missing.
    """
    if options.random_weights == bool(options.weights):
        raise ValueError("give either --weights FOLDER or --random-weights")
    if options.layers and options.weights:
        raise ValueError("--layers cuts the backbone, and the checkpoint in --weights would not fit it")
    if options.compare and (options.precision != "fp32" or options.report):
        raise ValueError("--compare needs --precision fp32, which ONNX Runtime knows on a CPU, and no --report")
    if options.network and not options.weights:
        raise ValueError("--network replaces the backbone of --weights FOLDER")
    if options.root is None and not options.report:
        raise ValueError("give --root FOLDER: the 5B student has no place of its own in this repository")
    dtype, sizes = _DTYPES[options.precision], _sizes(options)
    student = sizes.meta()
    files = WanFiles.find(options.weights, network=options.network) if options.weights else None
    with _weights(student, files, dtype) as weights:
        if options.prepared:
            weights = prepare(student, weights, dtype=dtype)
        if options.report:
            yield from size_report(student, weights, dtype=dtype, only=options.only)
            return
        if files is not None:
            target = seal.place_tokenizer(options.root, files.its_tokenizer())
            student = replace(student, tokenizer=target.name)
            yield f"{target.relative_to(options.root)}: {target.stat().st_size:,} bytes"
        made = {"command": "python -m export onnx --student 5b", "weights": _described(files)}
        yield from write_streamed(student, weights, options.root, made=made, dtype=dtype, only=options.only)
    if options.compare:
        yield from _compared(sizes, options)


def _sizes(options: argparse.Namespace) -> WanSizes:
    width, height = options.frame
    sizes = wan_5b.sizes(height, width)
    geometry = replace(sizes.geometry, num_layers=options.layers or sizes.geometry.num_layers)
    if options.precision == "fp32":
        geometry = replace(geometry, cache_dtype="float32")
    return replace(sizes, geometry=geometry)


def _compared(sizes: WanSizes, options: argparse.Namespace) -> Iterator[str]:
    """Compare what was written with PyTorch, one network in memory at a time."""
    for part, models in PARTS.items():
        chosen = [model for model in models if not options.only or model in options.only]
        if not chosen:
            continue
        if options.weights:
            student = sizes.load(options.weights, network=options.network, dtype=torch.float32, parts=[part])
        else:
            student = sizes.build(dtype=torch.float32, parts=[part])
        if options.prepared and part == "network":
            inference.prepare(student.network, student.schedule)
        for graph in graphs(student):
            if graph.path.split("/")[0] in chosen:
                error = parity.check(graph, options.root / graph.path)
                yield f"{graph.path}: largest error against PyTorch {error:.1e}"


@contextmanager
def _weights(student: Student, files: WanFiles | None, dtype: torch.dtype) -> Iterator[Readers]:
    if files is None:
        yield random_weights(student, dtype=dtype)
        return
    with open_weights(student, files) as weights:
        yield weights


def _described(files: WanFiles | None) -> str | dict[str, str]:
    if files is None:
        return "random"
    return {"network": files.network.name, "vae": files.vae.name, "text_encoder": files.text_encoder.name}
