"""A folder of engines is sealed only when all of them are built and within their bounds.

The builder is TensorRT-RTX's own; where an engine would run, which takes a GPU, ONNX Runtime runs a graph in its place.
"""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from polygraphy.backend.base import BaseRunner

from contract.engine_manifest import BATCH, EngineError, EngineManifest, Machine, Precision, Profile
from contract.tensors import Manifest
from export.engines.accuracy import reference_runner
from export.engines.builder import BuildError
from export.engines.make import ACCURACY_FILE, AccuracyError, Order, Reference, make

GRAPH = "text_encoder/1/text_encoder.onnx"
MACHINE = Machine(tensorrt="1.7.1.116", gpu="none", compute_capability="8.9")


def _graph(path: Path, operator: str = "Add") -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x", "x"], ["y"], name="node")], "g", [x], [y])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


@pytest.fixture
def order(tmp_path: Path, rtx: ModuleType, manifest: Manifest) -> Order:
    graph = _graph(tmp_path / "root" / GRAPH)

    def runner(path: Path, profile: int) -> BaseRunner:
        assert path.is_file()
        assert profile in (0, 1)
        stand_in = reference_runner(graph, threads=1)
        stand_in.name = "engine"
        return stand_in

    return Order(
        graphs={GRAPH: graph},
        repository=manifest,
        precision=Precision.FP32,
        profiles=[Profile(sizes={BATCH: batch}) for batch in (1, 2)],
        tensorrt=rtx,
        machine=MACHINE,
        target=(8, 9),
        reference=Reference(
            root=tmp_path / "root",
            feed=lambda _, sizes: {"x": np.ones((sizes[BATCH], 4), np.float32)},
            runner=runner,
        ),
        made={"command": "test"},
    )


def test_what_is_built_is_accepted_where_it_was_built(order: Order, tmp_path: Path) -> None:
    out = tmp_path / "engines"
    lines = list(make(order, out))
    sealed = EngineManifest.read(out)
    sealed.verify(out, machine=MACHINE, repository=order.repository)
    assert sealed.engine("text_encoder").profile_index(B=2) == 1
    assert sealed.precision is Precision.FP32
    report = json.loads((out / ACCURACY_FILE).read_text())
    assert [(one["profile"], one["passed"]) for one in report["comparisons"]] == [("B=1", True), ("B=2", True)]
    assert lines[0].startswith("text_encoder: ")
    assert lines[-1].endswith("1 engines for none, accuracy within bounds, see accuracy.json")
    with pytest.raises(EngineError, match="gpu: built for 'none', here is 'NVIDIA H200'"):
        sealed.verify(out, machine=replace(MACHINE, gpu="NVIDIA H200"), repository=order.repository)
    other = replace(order.repository, files={**order.repository.files, "student/1/weights.bin": "0" * 64})
    with pytest.raises(EngineError, match=r"sha256 of student/1/weights\.bin: built for None, here is '0{64}'"):
        sealed.verify(out, machine=MACHINE, repository=other)


def test_an_engine_beyond_its_bound_is_reported_and_what_was_sealed_before_goes_on(
    order: Order, tmp_path: Path
) -> None:
    out = tmp_path / "engines"
    list(make(order, out))
    before = EngineManifest.read(out)
    other = _graph(tmp_path / "other.onnx", "Mul")  # 1 where the reference has 2
    assert order.reference is not None
    wrong = replace(order.reference, runner=lambda _, __: _named(other))
    with pytest.raises(AccuracyError, match=r"text_encoder B=1: BEYOND the bound of 40 dB, y has 6\.0 dB"):
        list(make(replace(order, reference=wrong, profiles=order.profiles[:1]), out))
    assert not json.loads((out / ACCURACY_FILE).read_text())["comparisons"][0]["passed"]
    assert EngineManifest.read(out) == before
    before.verify(out, machine=MACHINE, repository=order.repository)
    assert len(list(out.glob("*.engine"))) == 1, "the refused engine is gone"


def _named(path: Path) -> BaseRunner:
    runner = reference_runner(path, threads=1)
    runner.name = "engine"
    return runner


def test_without_a_reference_the_manifest_says_that_nothing_was_compared(order: Order, tmp_path: Path) -> None:
    out = tmp_path / "engines"
    list(make(replace(order, reference=None), out))
    assert EngineManifest.read(out).made["accuracy"] == "not compared"
    assert json.loads((out / ACCURACY_FILE).read_text())["reference"] is None


def test_a_graph_that_does_not_build_leaves_no_manifest(order: Order, refused: Path, tmp_path: Path) -> None:
    out = tmp_path / "engines"
    with pytest.raises(BuildError, match=r"Det\): UNSUPPORTED_NODE"):
        list(make(replace(order, graphs={GRAPH: order.graphs[GRAPH], "vae_encoder/1/vae_encoder.onnx": refused}), out))
    with pytest.raises(FileNotFoundError):
        EngineManifest.read(out)
    assert not list(out.glob("*.engine"))


def test_while_others_are_built_those_that_serve_stay_and_then_give_way(order: Order, tmp_path: Path) -> None:
    out = tmp_path / "engines"
    list(make(order, out))
    before = EngineManifest.read(out)
    building = make(replace(order, profiles=order.profiles[:1]), out)
    next(building)
    before.verify(out, machine=MACHINE, repository=order.repository)
    assert EngineManifest.read(out) == before
    list(building)
    after = EngineManifest.read(out)
    assert [len(engine.profiles) for engine in after.engines.values()] == [1]
    assert [file.name for file in out.glob("*.engine")] == [after.engine("text_encoder").file]
