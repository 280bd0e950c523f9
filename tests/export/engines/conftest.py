"""TensorRT-RTX's real parser and builder, and a graph that they refuse."""

from pathlib import Path
from types import ModuleType

import onnx
import pytest
from onnx import TensorProto, helper

from export.engines.library import use_rtx


@pytest.fixture(scope="session")
def rtx() -> ModuleType:
    return use_rtx()


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A graph whose second node is of a kind that TensorRT does not know."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    nodes = [
        helper.make_node("Relu", ["x"], ["h"], name="fine"),
        helper.make_node("Det", ["h"], ["y"], name="blocks.3/determinant"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    path = tmp_path / "student" / "1" / "odd.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(model, path)
    return path
