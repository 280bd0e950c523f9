"""What TensorRT's own parser and builder make of graphs, without a GPU."""

from pathlib import Path
from types import ModuleType

import pytest

from contract.engine_manifest import BATCH, Profile
from contract.tensors import Manifest
from export.engines.builder import build
from export.engines.check import DEFAULT_CAPABILITY, capability, check
from export.engines.profiles import profiles


@pytest.mark.parametrize(
    ("graph", "wanted"),
    [
        ("student/1/student.onnx", ("prefill", "full")),
        ("vae_decoder/1/next.onnx", ("full",)),
        ("vae_decoder/1/first.onnx", ("full",)),
        ("vae_encoder/1/vae_encoder.onnx", ("full", "fullx4")),
        ("text_encoder/1/text_encoder.onnx", ("full", "fullx4")),
    ],
)
def test_tensorrt_parses_and_builds_every_committed_graph(
    graph: str, wanted: tuple[str, ...], rtx: ModuleType, repository: Path, manifest: Manifest
) -> None:
    students = profiles(wanted, manifest.geometry)
    (finding,) = check([repository / graph], students, tensorrt=rtx, target=DEFAULT_CAPABILITY)
    assert finding.error == ""
    assert finding.profiles == len(wanted)
    assert finding.engine_bytes > 100_000


def test_a_graph_that_tensorrt_refuses_is_told_with_its_node_and_operator_and_the_next_is_tried(
    rtx: ModuleType, refused: Path, repository: Path, manifest: Manifest
) -> None:
    students = profiles(["full"], manifest.geometry)
    graphs = [refused, repository / "text_encoder/1/text_encoder.onnx"]
    bad, good = check(graphs, students, tensorrt=rtx, target=DEFAULT_CAPABILITY)
    assert str(bad).startswith(f"{refused}: node blocks.3/determinant (Det): UNSUPPORTED_NODE")
    assert str(good).startswith(f"{graphs[1]}: parsed and built")


def test_a_missing_graph_is_told_by_its_path(rtx: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no graph .*student\.onnx"):
        build(tmp_path / "student.onnx", [Profile(sizes={BATCH: 1})], tensorrt=rtx)


def test_what_is_no_graph_is_told_by_its_path(rtx: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "student.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"student\.onnx is not an ONNX graph"):
        build(path, [Profile(sizes={})], tensorrt=rtx)


def test_only_gpus_that_the_library_builds_for_are_taken(rtx: ModuleType) -> None:
    assert capability("12.0", rtx) == (12, 0)
    with pytest.raises(ValueError, match=r"--capability 9\.0: none of 7\.5, 8\.0, 8\.6, 8\.9, 12\.0, 12\.1"):
        capability("9.0", rtx)
