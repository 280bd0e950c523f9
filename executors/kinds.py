"""Which executors a repository's models run on: chosen by its manifest, imported only when chosen.

So Triton serves the embedded student without PyTorch or TensorRT installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from contract.tensors import Executor, Manifest, Model
from executors.base import DecoderExecutor, EncoderExecutor, StudentExecutor
from executors.onnx_kind import OnnxKind


class Kind(Protocol):
    """Opens a repository's executors, each in a process of its own: nothing is opened before it is asked for."""

    def student(self, model: Model) -> StudentExecutor: ...

    def decoder(self, model: Model) -> DecoderExecutor: ...

    def encoder(self, model: Model) -> EncoderExecutor: ...


def open_kind(repository: Path) -> Kind:
    """The kind that the repository's manifest names.

    Raises:
        FileNotFoundError, ValueError: there is no manifest, it cannot be read, or the kind is not told what it needs.
        ImportError: what this kind computes with is not installed; says what.
    """
    manifest = Manifest.read(repository)
    if manifest.executor is Executor.TORCH:
        from executors.torch_kind import TorchKind

        return TorchKind(manifest)
    if manifest.executor is Executor.TENSORRT:
        from executors.tensorrt_kind import TensorrtKind

        return TensorrtKind(manifest)
    return OnnxKind(repository, manifest)
