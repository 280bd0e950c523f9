"""PyTorch's executors: the student's own networks, with the weights that CHAMELEON_WEIGHTS names.

The only modules of this package that see `student` and PyTorch are `torch_*` (docs/adr).
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from contract import byte_tokenizer
from contract.tensors import VAE_ENCODER, Manifest, Model
from executors.base import DecoderExecutor, EncoderExecutor, StudentExecutor
from executors.torch_decoder import TorchDecoder
from executors.torch_encoders import TorchEncoder
from executors.torch_fp8 import fp8_missing, to_fp8
from executors.torch_student import TorchStudent
from student import nano, wan_5b
from student.inference import prepare
from student.student import Student

WEIGHTS_VARIABLE = "CHAMELEON_WEIGHTS"
NETWORK_VARIABLE = "CHAMELEON_NETWORK"
RANDOM_WEIGHTS = "random"
PRECISION_VARIABLE = "CHAMELEON_PRECISION"
FP8 = "fp8"


class TorchKind:
    """On the GPU if there is one, in the cache's type; else on the CPU.

    CHAMELEON_WEIGHTS is a folder: the embedded student's (default: those that ship), or a checkpoint of the 5B
    student; `random` makes weights of its shape, to measure with. CHAMELEON_NETWORK is a fine-tune that takes the
    checkpoint's backbone's place. CHAMELEON_PRECISION=fp8 rounds the backbone's
    linears.
    """

    def __init__(self, manifest: Manifest) -> None:
        """Raises ValueError for a CHAMELEON_PRECISION that there is not: in silence it would serve bf16."""
        precision = os.environ.get(PRECISION_VARIABLE)
        if precision not in (None, "", FP8):
            raise ValueError(f"{PRECISION_VARIABLE}: {precision!r} is not {FP8!r}; unset, the cache's type computes")
        self._fp8 = precision == FP8
        self._geometry, self._schedule, self._tokenizer = manifest.geometry, manifest.schedule, manifest.tokenizer
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def student(self, model: Model) -> StudentExecutor:
        assert model.probe_cell is not None
        if self._fp8 and (missing := fp8_missing(self._device)):
            raise ValueError(missing)
        network = prepare(self._load("network").network, self._schedule)
        if self._fp8:
            to_fp8(network)
        return TorchStudent(network, self._geometry, probe_cell=model.probe_cell)

    def decoder(self, model: Model) -> DecoderExecutor:
        assert model.probe_cell is not None
        return TorchDecoder(self._load("vae").vae, self._geometry, probe_cell=model.probe_cell)

    def encoder(self, model: Model) -> EncoderExecutor:
        names = [tensor.name for tensor in model.inputs]
        if model.name == VAE_ENCODER:
            return TorchEncoder(self._load("vae").vae.encode_image, names, self._device)
        return TorchEncoder(self._load("text_encoder").text_encoder, names, self._device)

    def _load(self, part: str) -> Student:
        """The student with memory for one part: every model is a process of its own."""
        weights = os.environ.get(WEIGHTS_VARIABLE)
        dtype: torch.dtype = getattr(torch, self._geometry.cache_dtype)
        if self._geometry.name == nano.GEOMETRY.name:
            student = nano.load(Path(weights) if weights else nano.WEIGHTS)
            getattr(student, part).to(self._device, dtype)
            return student
        if self._geometry.name != wan_5b.geometry().name:
            raise ValueError(f"there is no student {self._geometry.name!r} in PyTorch, only nano and 5b")
        if not weights:
            raise ValueError(f"set {WEIGHTS_VARIABLE}: a checkpoint's folder, or {RANDOM_WEIGHTS!r} to measure")
        sizes = wan_5b.sizes(self._geometry.frame_height, self._geometry.frame_width)
        if weights == RANDOM_WEIGHTS:
            return sizes.build(device=self._device, dtype=dtype, parts={part})
        if self._tokenizer == byte_tokenizer.NAME:
            raise ValueError(
                f"{WEIGHTS_VARIABLE} names a checkpoint, and the model repository has no tokenizer for it: write it "
                "with `python -m export repository --weights FOLDER`"
            )
        fine_tune = os.environ.get(NETWORK_VARIABLE)
        network = Path(fine_tune) if fine_tune else None
        return sizes.load(Path(weights), network=network, device=self._device, dtype=dtype, parts={part})
