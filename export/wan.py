"""`python -m export onnx --student 5b`: which weights, which sizes, and where to."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from contract.tensors import TEXT_ENCODER
from export import seal
from export.repository import size_report, write_streamed
from student import wan_5b
from student.checkpoint_files import Readers
from student.student import Student
from student.wan import WanFiles, WanSizes, open_weights, random_weights

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
PRECISIONS = tuple(_DTYPES)
_TOKENIZER = "tokenizer.json"


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
    if options.network and not options.weights:
        raise ValueError("--network replaces the backbone of --weights FOLDER")
    if options.root is None and not options.report:
        raise ValueError("give --root FOLDER: the 5B student has no place of its own in this repository")
    dtype, sizes = _DTYPES[options.precision], _sizes(options)
    student = sizes.meta()
    files = WanFiles.find(options.weights, network=options.network) if options.weights else None
    with _weights(student, files, dtype) as weights:
        if options.report:
            yield from size_report(student, weights, dtype=dtype, only=options.only)
            return
        if files is not None:
            student = replace(student, tokenizer=_TOKENIZER)
            yield _copy_tokenizer(files, options.root)
        made = {"command": "python -m export onnx --student 5b", "weights": _described(files)}
        yield from write_streamed(student, weights, options.root, made=made, dtype=dtype, only=options.only)


def _sizes(options: argparse.Namespace) -> WanSizes:
    width, height = options.frame
    sizes = wan_5b.sizes(height, width)
    if options.precision == "fp32":
        sizes = replace(sizes, geometry=replace(sizes.geometry, cache_dtype="float32"))
    return sizes


@contextmanager
def _weights(student: Student, files: WanFiles | None, dtype: torch.dtype) -> Iterator[Readers]:
    if files is None:
        yield random_weights(student, dtype=dtype)
        return
    with open_weights(student, files) as weights:
        yield weights


def _copy_tokenizer(files: WanFiles, root: Path) -> str:
    if files.tokenizer is None:
        raise FileNotFoundError(f"no {_TOKENIZER} of umT5 beside the checkpoint's text encoder")
    target = root / TEXT_ENCODER / seal.VERSION / _TOKENIZER
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(files.tokenizer, target)
    return f"{target.relative_to(root)}: {target.stat().st_size:,} bytes"


def _described(files: WanFiles | None) -> str | dict[str, str]:
    if files is None:
        return "random"
    return {"network": files.network.name, "vae": files.vae.name, "text_encoder": files.text_encoder.name}
