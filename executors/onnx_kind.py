"""ONNX Runtime's executors of a repository."""

from __future__ import annotations

from pathlib import Path

from contract.tensors import Manifest, Model
from executors.base import DecoderExecutor, EncoderExecutor, StudentExecutor
from executors.host_arena import HostArenas
from executors.onnx_decoder import OnnxDecoder
from executors.onnx_encoders import OnnxEncoder
from executors.onnx_student import OnnxStudent

VERSION = "1"
"""Triton's name of the only version of each model."""


class OnnxKind:
    """On the host, over the graphs that lie in the repository and blocks in shared memory."""

    def __init__(self, repository: Path, manifest: Manifest) -> None:
        self._repository = repository
        self._geometry = manifest.geometry

    def student(self, model: Model) -> StudentExecutor:
        assert model.probe_cell is not None
        arenas = HostArenas(self._geometry)
        return OnnxStudent(self._folder(model), self._geometry, probe_cell=model.probe_cell, arenas=arenas)

    def decoder(self, model: Model) -> DecoderExecutor:
        assert model.probe_cell is not None
        arenas = HostArenas(self._geometry)
        return OnnxDecoder(self._folder(model), self._geometry, probe_cell=model.probe_cell, arenas=arenas)

    def encoder(self, model: Model) -> EncoderExecutor:
        return OnnxEncoder(self._folder(model) / f"{model.name}.onnx")

    def _folder(self, model: Model) -> Path:
        return self._repository / model.name / VERSION
