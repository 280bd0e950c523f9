"""TensorRT's executors of a repository."""

from __future__ import annotations

import os
from pathlib import Path

from contract.tensors import Manifest, Model
from executors.base import DecoderExecutor, EncoderExecutor, StudentExecutor
from executors.tensorrt_decoder import TensorrtDecoder
from executors.tensorrt_encoders import TensorrtEncoder
from executors.tensorrt_student import TensorrtStudent

ENGINES_VARIABLE = "CHAMELEON_ENGINES"


class TensorrtKind:
    """Over the folder of engines that CHAMELEON_ENGINES names, built for this GPU.

    It lies outside of the repository, in which Triton takes every folder for a model.
    """

    def __init__(self, manifest: Manifest) -> None:
        """Raises ValueError if no folder is named."""
        engines = os.environ.get(ENGINES_VARIABLE)
        if not engines:
            raise ValueError(f"set {ENGINES_VARIABLE}: a folder of engines built for this GPU")
        self._engines = Path(engines)
        self._repository = manifest

    def student(self, model: Model) -> StudentExecutor:
        assert model.probe_cell is not None
        return TensorrtStudent(self._engines, self._repository, probe_cell=model.probe_cell)

    def decoder(self, model: Model) -> DecoderExecutor:
        assert model.probe_cell is not None
        return TensorrtDecoder(self._engines, self._repository, probe_cell=model.probe_cell)

    def encoder(self, model: Model) -> EncoderExecutor:
        return TensorrtEncoder(self._engines, self._repository, model)
