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
ENGINES_FOLDER = "engines"


class TensorrtKind:
    """Over a folder of engines built for this GPU: what CHAMELEON_ENGINES names, or `engines` in the repository."""

    def __init__(self, repository: Path, manifest: Manifest) -> None:
        self._engines = Path(os.environ.get(ENGINES_VARIABLE) or repository / ENGINES_FOLDER)
        self._geometry = manifest.geometry

    def student(self, model: Model) -> StudentExecutor:
        assert model.probe_cell is not None
        return TensorrtStudent(self._engines, self._geometry, probe_cell=model.probe_cell)

    def decoder(self, model: Model) -> DecoderExecutor:
        assert model.probe_cell is not None
        return TensorrtDecoder(self._engines, self._geometry, probe_cell=model.probe_cell)

    def encoder(self, model: Model) -> EncoderExecutor:
        return TensorrtEncoder(self._engines, self._geometry, model)
