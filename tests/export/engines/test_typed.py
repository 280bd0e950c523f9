"""Graphs in bfloat16 and FP8 are of the types they claim, keep their border's types, and build."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import onnx
import pytest
from onnx import TensorProto

from contract.engine_manifest import Precision
from export.engines import fp8, typed
from export.engines.check import DEFAULT_CAPABILITY, check
from export.engines.profiles import profiles
from student import nano
from student.student import Student

GRAPH = "student/1/student.onnx"


@pytest.fixture(scope="module")
def one_layer() -> Student:
    """The embedded student's sizes, with a single layer: quick to export."""
    return Student.untrained(replace(nano.GEOMETRY, num_layers=1), vae=nano.VAE, text=nano.TEXT, seed=0)


@pytest.fixture(scope="module")
def written(one_layer: Student, tmp_path_factory: pytest.TempPathFactory) -> Mapping[Precision, Path]:
    found = {}
    for precision in (Precision.BF16, Precision.FP8):
        student = typed.in_precision(one_layer, precision)
        if precision is Precision.FP8:
            fp8.quantise(student.network, dict.fromkeys(fp8.quantised_names(student.network), 8.0))
        root = tmp_path_factory.mktemp(precision)
        (found[precision],) = typed.write(student, root, only=frozenset({GRAPH}))
    return found


@pytest.mark.parametrize(("precision", "float8"), [(Precision.BF16, 0), (Precision.FP8, 10)])
def test_products_are_of_the_precision_and_the_border_of_the_caches_type(
    precision: Precision, float8: int, written: Mapping[Precision, Path]
) -> None:
    graph = onnx.load(written[precision], load_external_data=False).graph
    weights = [one.data_type for one in graph.initializer if len(one.dims) == 2 and min(one.dims) > 32]
    assert weights.count(TensorProto.FLOAT8E4M3FN) == float8
    assert TensorProto.FLOAT not in weights
    border = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    assert {border[name] for name in ("latent", "past_k_0", "new_k_0", "new_v_0", "flow")} == {TensorProto.FLOAT}


def test_tensorrt_builds_the_student_in_either_precision_and_keeps_float8_weights_in_a_byte_each(
    written: Mapping[Precision, Path], one_layer: Student, rtx: ModuleType
) -> None:
    """Where TensorRT does not know the pattern for a product in FP8, it rounds weights back to bfloat16, and builds."""
    students = profiles(["full"], one_layer.geometry)
    found = {
        precision: next(check([path], students, tensorrt=rtx, target=DEFAULT_CAPABILITY))
        for precision, path in written.items()
    }
    assert {finding.error for finding in found.values()} == {""}
    rounded = sum(
        one_layer.network.get_submodule(name).weight.numel() for name in fp8.quantised_names(one_layer.network)
    )
    saved = found[Precision.BF16].engine_bytes - found[Precision.FP8].engine_bytes
    assert saved == pytest.approx(rounded, rel=0.2)
