"""From the options to graphs in their precision: the 5B student's way, at a size that a test can write."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from contract.tensors import STUDENT
from export.engines import fp8, sources
from export.engines.check import DEFAULT_CAPABILITY, check
from export.engines.profiles import profiles
from export.engines.sources import Source
from export.repository import write_streamed
from student.dit import CausalDiT
from student.student import Student
from student.wan import random_weights
from tests.export.test_streamed import SIZES as SMALL

GRAPH = f"{STUDENT}/1/student.onnx"
SIZES = replace(SMALL, geometry=replace(SMALL.geometry, cache_dtype="bfloat16"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m export onnx --student 5b --random-weights --only student` writes."""
    root, student = tmp_path_factory.mktemp("5b"), SIZES.meta()
    weights = random_weights(student, dtype=torch.bfloat16)
    list(write_streamed(student, weights, root, made={}, dtype=torch.bfloat16, only=[STUDENT]))
    return root


@pytest.fixture
def source(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Of FP8, with random weights and one pair of pictures."""
    monkeypatch.setattr(sources, "_sizes_5b", lambda geometry: replace(SIZES, geometry=geometry))
    for kind in ("person", "garment"):
        Image.effect_noise((30, 50), 60).convert("RGB").save(tmp_path / f"a.{kind}.png")
    options = argparse.Namespace(
        student="5b",
        precision="fp8",
        root=root,
        reference=None,
        calibration=tmp_path,
        weights=None,
        network=None,
        random_weights=True,
    )
    return Source.of(options, default_root=Path("nowhere"))


def _weight(graph: Path, name: str) -> bytes:
    (found,) = (tensor for tensor in onnx.load(graph).graph.initializer if tensor.name.endswith(name))
    return bytes(found.raw_data)


def test_fp8_is_calibrated_on_what_is_served_and_its_graph_builds(
    source: Source, tmp_path: Path, rtx: ModuleType
) -> None:
    made = source.graphs(tmp_path / "graphs")
    assert made == {GRAPH: tmp_path / "graphs" / GRAPH}
    weights = onnx.load(made[GRAPH], load_external_data=False).graph.initializer
    assert sum(one.data_type == onnx.TensorProto.FLOAT8E4M3FN and len(one.dims) == 2 for one in weights) == 10
    students = profiles(["full"], SIZES.geometry)
    (finding,) = check(made.values(), students, tensorrt=rtx, target=DEFAULT_CAPABILITY)
    assert finding.error == ""


def test_with_a_gpu_fp8_is_calibrated_there_and_written_from_the_weights_that_were_exported(
    source: Source, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights made on a GPU are others, and graphs are traced with inputs on the CPU."""
    where: list[str] = []

    def calibrate(network: CausalDiT, _: Callable[[CausalDiT], None], *, device: str) -> dict[str, float]:
        where.append(device)
        return dict.fromkeys(fp8.quantised_names(network), 8.0)

    monkeypatch.setattr(fp8, "calibrate", calibrate)
    monkeypatch.setattr(sources, "_device", lambda: "cuda")
    made = source.graphs(tmp_path / "graphs")
    assert where == ["cuda"]
    name = "blocks.0.ffn.2.bias"
    assert _weight(made[GRAPH], name) == _weight(root / GRAPH, name)


def test_fp8_of_other_weights_than_the_repositorys_is_refused(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_sizes_5b", lambda geometry: _Trained())
    with pytest.raises(ValueError, match=r"student\.onnx has other weights than those that --precision fp8 was given"):
        source.graphs(tmp_path / "graphs")


class _Trained:
    """Sizes whose weights are another seed's."""

    def build(self) -> Student:
        return SIZES.build(seed=1)


@pytest.mark.parametrize("sizes", [{"B": 1, "F": 2, "S": 0}, {"B": 2, "F": 3, "S": 5}], ids=["prefill", "chunk"])
def test_engines_are_compared_at_the_schedules_timesteps(source: Source, sizes: Mapping[str, int]) -> None:
    """A prepared graph knows no others, and answers them with NaN."""
    feed = source.feed(GRAPH, sizes)
    known = {step.timestep for step in source.manifest.schedule.passes()}
    assert feed["timestep"].shape == (sizes["B"], sizes["F"])
    assert set(feed["timestep"].flatten()) <= known
    assert {feed[name].dtype for name in ("latent", "past_k_0", "timestep")} == {np.dtype(np.float32)}
