"""Another geometry is a change of numbers: exported, checked and served by the same code."""

from pathlib import Path

import onnx
import pytest

from contract.byte_tokenizer import VOCABULARY
from contract.geometry import StudentGeometry
from contract.tensors import Manifest, models
from export import parity, repository
from export.__main__ import main
from export.graphs import Graph, graphs
from student import nano
from student.student import Student
from student.text import TextConfig
from student.vae import VaeConfig, decoder_cache_shapes

VAE = VaeConfig(
    base_dim=4, decoder_base_dim=4, z_dim=6, latents_mean=(0.1,) * 6, latents_std=(2.0,) * 6, num_res_blocks=1
)
TEXT = TextConfig(vocabulary=VOCABULARY, dim=24, ffn_dim=32, num_heads=2, num_layers=1)
OTHER = StudentGeometry(
    name="other",
    dim=96,
    ffn_dim=128,
    num_heads=2,
    num_layers=2,
    freq_dim=64,
    text_dim=TEXT.dim,
    text_tokens=32,
    latent_channels=VAE.z_dim,
    latent_height=6,
    latent_width=4,
    decoder_cache_shapes=decoder_cache_shapes(VAE, latent_height=6, latent_width=4),
    chunk_frames=2,
    sink_frames=2,
    recent_frames=6,
    frames_per_second=7,
)


@pytest.fixture(scope="module")
def other() -> Student:
    return Student.untrained(OTHER, vae=VAE, text=TEXT, seed=1)


@pytest.fixture(scope="module")
def written(other: Student, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("repository")
    return root, list(repository.write_onnx(other, root, made={"weights": "untrained"}))


def test_every_choice_differs_from_the_embedded_students() -> None:
    same = {name for name, value in OTHER.to_json().items() if value == nano.GEOMETRY.to_json()[name]}
    # Wan2.2's, which a student of its own choices may still share.
    wan = {"patch_height", "patch_width", "vae_temporal_stride", "vae_spatial_stride", "rope_positions", "cache_dtype"}
    assert same <= wan


def test_it_is_exported_compared_and_sealed(written: tuple[Path, list[str]]) -> None:
    root, lines = written
    assert len(lines) == 6
    assert all("largest error against PyTorch" in line for line in lines[:-1])
    manifest = Manifest.read(root)
    assert manifest.geometry == OTHER
    assert manifest.made["weights"] == "untrained"
    assert len(manifest.files) == 6
    assert main(["configs", "--check", "--root", str(root)]) == 0


def test_its_configs_carry_its_shapes(written: tuple[Path, list[str]]) -> None:
    root, _ = written
    assert {path.parent.name for path in root.glob("*/config.pbtxt")} == {model.name for model in models(OTHER)}
    assert f"dims: [ -1, {VAE.z_dim}, 6, 4 ]" in (root / "student/config.pbtxt").read_text()
    assert "dims: [ -1, 96, 64, 3 ]" in (root / "vae_decoder/config.pbtxt").read_text()


def test_its_graphs_equal_pytorch_again(written: tuple[Path, list[str]], other: Student) -> None:
    root, _ = written
    for graph in graphs(other):
        assert parity.check(graph, root / graph.path) <= parity.TOLERANCE


def test_a_student_whose_graphs_compute_something_else_is_not_sealed(
    written: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = written

    def graphs_of_other_weights(graph: Graph, *, opset: int) -> onnx.ModelProto:
        return onnx.load(root / graph.path)

    monkeypatch.setattr(repository, "to_onnx", graphs_of_other_weights)
    student = Student.untrained(OTHER, vae=VAE, text=TEXT, seed=2)
    with pytest.raises(parity.ParityError, match=r"text_encoder\.onnx: PyTorch and ONNX Runtime differ by up to"):
        list(repository.write_onnx(student, tmp_path, made={}))
    assert not list(tmp_path.rglob("manifest.json"))
    assert not list(tmp_path.rglob("config.pbtxt"))
