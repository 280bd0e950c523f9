"""An engine's error is measured against its output's size, and compared with the precision's bound."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from polygraphy import util
from polygraphy.backend.base import BaseRunner
from polygraphy.common import TensorMetadata
from polygraphy.datatype import DataType

from export.engines.accuracy import compare, reference_runner

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64)


@pytest.fixture
def doubled(tmp_path: Path) -> Path:
    """y = x + x and z = 0 x, in float32."""
    x, y, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xyz")
    nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Sub", ["x", "x"], ["z"])]
    graph = helper.make_graph(nodes, "g", [x], [y, z])
    path = tmp_path / "doubled.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


class _Engine(BaseRunner):  # type: ignore[misc]
    """Stands where TensorRT's runner would, as strictly typed: bfloat16 in, bfloat16 out."""

    def __init__(self, scale: float) -> None:
        super().__init__(name="engine")
        self._scale = scale

    def get_input_metadata_impl(self) -> TensorMetadata:
        return TensorMetadata().add("x", dtype=DataType.BFLOAT16, shape=(1, 64))

    def infer_impl(self, feed_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor | np.ndarray]:
        x = feed_dict["x"]
        assert x.dtype == torch.bfloat16
        self.inference_time = 0.0
        return {"y": self._scale * x, "z": np.zeros((1, 64), np.float32)}


class _BfloatOut(BaseRunner):  # type: ignore[misc]
    """As TensorRT's runner returns an output: bytes in what its inputs were, seen in the output's type."""

    def __init__(self) -> None:
        super().__init__(name="engine")

    def get_input_metadata_impl(self) -> TensorMetadata:
        return TensorMetadata().add("x", dtype=DataType.FLOAT32, shape=(1, 64))

    def infer_impl(self, feed_dict: dict[str, Any]) -> dict[str, Any]:
        self.inference_time = 0.0
        raw = torch.from_numpy(2 * X).bfloat16().view(torch.uint8).flatten()
        zeros = torch.zeros(4 * 64, dtype=torch.uint8)
        y, z = (raw, zeros) if util.array.is_torch(feed_dict["x"]) else (raw.numpy(), zeros.numpy())
        return {
            "y": util.array.view(y, DataType.BFLOAT16, (1, 64)),
            "z": util.array.view(z, DataType.FLOAT32, (1, 64)),
        }


def test_an_engine_of_float32_inputs_may_have_bfloat16_outputs(doubled: Path) -> None:
    """The decoder's first latent: no input tells Polygraphy that NumPy's types will not do."""
    found = compare(
        reference_runner(doubled, threads=1), _BfloatOut(), {"x": X}, name="first", profile="static", bound_db=25
    )
    assert found.passed
    assert found.output == "y"


@pytest.mark.parametrize(
    ("scale", "passed", "snr_db"),
    [(2.0, True, 57), (2.2, False, 20), (2.02, True, 40), (float("nan"), False, -200)],
    ids=["bfloat16's rounding", "a tenth too large", "a hundredth too large", "NaN"],
)
def test_the_error_is_measured_against_the_outputs_size(
    scale: float, passed: bool, snr_db: float, doubled: Path
) -> None:
    found = compare(
        reference_runner(doubled, threads=1), _Engine(scale), {"x": X}, name="student", profile="B=1", bound_db=25
    )
    assert found.passed is passed
    assert found.snr_db == pytest.approx(snr_db, abs=4)
    assert found.output == "y"
    assert ("within" in str(found)) is passed
    assert str(found).startswith("student B=1: ")


def test_equal_outputs_have_no_error(doubled: Path) -> None:
    """Also an output of zeros, which has no size to measure against."""
    one, other = reference_runner(doubled, threads=1), reference_runner(doubled, threads=1)
    other.name = "other"
    found = compare(one, other, {"x": X}, name="a", profile="static", bound_db=40)
    assert found.passed
    assert found.snr_db == 200
