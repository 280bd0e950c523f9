"""An engine against ONNX Runtime in float32, on the same random inputs, through Polygraphy's comparator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from polygraphy.backend.base import BaseRunner
from polygraphy.backend.onnxrt import OnnxrtRunner
from polygraphy.common import TensorMetadata
from polygraphy.comparator import Comparator, SnrCompareFunc
from polygraphy.datatype import DataType
from polygraphy.logger import G_LOGGER

from contract.engine_manifest import Precision

BOUNDS_DB = {Precision.FP32: 40.0, Precision.BF16: 25.0, Precision.FP8: 15.0}
"""Least ratio of an output's power to that of its error: 20 dB is an error of a tenth of the output's size."""
_EXACT_DB = 200.0  # stands for infinity, which JSON does not have

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One engine under one profile.

    Attributes:
        output, snr_db: of the output with the largest error, measured against its size.
    """

    engine: str
    profile: str
    output: str
    snr_db: float
    bound_db: float

    @property
    def passed(self) -> bool:
        return self.snr_db >= self.bound_db

    def __str__(self) -> str:
        verdict = "within" if self.passed else "BEYOND"
        return (
            f"{self.engine} {self.profile}: {verdict} the bound of {self.bound_db:g} dB, "
            f"{self.output} has {self.snr_db:.1f} dB"
        )


class AtBorder(BaseRunner):  # type: ignore[misc]
    """A runner whose bfloat16 tensors are handed in and out as float32, which NumPy knows.

    All its inputs are PyTorch's tensors, for TensorRT's runner returns what it was given, and in NumPy it has no way to
    return a bfloat16 output: the decoder's first latent comes in float32, and its caches go out in bfloat16.
    """

    def __init__(self, inner: BaseRunner) -> None:
        super().__init__(name=inner.name)
        self._inner = inner

    def activate_impl(self) -> None:
        self._inner.activate()

    def deactivate_impl(self) -> None:
        self._inner.deactivate()

    def get_input_metadata_impl(self) -> TensorMetadata:
        metadata = TensorMetadata()
        for name, entry in self._inner.get_input_metadata(use_numpy_dtypes=False).items():
            dtype = DataType.FLOAT32 if entry.dtype == DataType.BFLOAT16 else entry.dtype
            metadata.add(name, dtype=dtype, shape=entry.shape)
        return metadata

    def infer_impl(self, feed_dict: Arrays) -> dict[str, npt.NDArray[Any]]:
        wanted = self._inner.get_input_metadata(use_numpy_dtypes=False)
        feed = {name: torch.from_numpy(array) for name, array in feed_dict.items()}
        for name, tensor in feed.items():
            if wanted[name].dtype == DataType.BFLOAT16:
                feed[name] = tensor.bfloat16()
        outputs = self._inner.infer(feed)
        self.inference_time = self._inner.last_inference_time()
        return {name: _as_numpy(value) for name, value in outputs.items()}


def reference_runner(path: Path, *, threads: int | None = None) -> OnnxrtRunner:
    """ONNX Runtime on the CPU over a graph in float32; `threads`: None: all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return OnnxrtRunner(session, name="ONNX Runtime")


def engine_runner(path: Path, profile: int) -> BaseRunner:
    """TensorRT over an engine file, under one of its profiles."""
    from polygraphy.backend.common import BytesFromPath
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner

    return TrtRunner(EngineFromBytes(BytesFromPath(str(path))), name="TensorRT", optimization_profile=profile)


def compare(
    reference: BaseRunner, engine: BaseRunner, feed: Arrays, *, name: str, profile: str, bound_db: float
) -> Comparison:
    """Run both on `feed` and find the output that differs most, measured against its size."""
    with G_LOGGER.verbosity(G_LOGGER.ERROR):  # TensorRT's reason, where it does not load or run
        results = Comparator.run([reference, AtBorder(engine)], data_loader=[dict(feed)])
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL), np.errstate(divide="ignore", invalid="ignore"):
        (accuracy,) = Comparator.compare_accuracy(results, compare_func=SnrCompareFunc(snr_threshold=bound_db))
    ((outputs,),) = accuracy.values()  # of the only pair of runners, its only run
    # A NaN is worse than anything.
    snr = {output: -_EXACT_DB if np.isnan(result.snr) else float(result.snr) for output, result in outputs.items()}
    worst = min(snr, key=snr.__getitem__)
    return Comparison(
        engine=name,
        profile=profile,
        output=worst,
        snr_db=float(np.clip(snr[worst], -_EXACT_DB, _EXACT_DB)),
        bound_db=bound_db,
    )


def _as_numpy(value: Any) -> npt.NDArray[Any]:
    if isinstance(value, torch.Tensor):
        array: npt.NDArray[Any] = (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()
        return array
    given: npt.NDArray[Any] = value
    return given
