"""A repository for executors on a GPU: everything Triton needs, but the graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract import byte_tokenizer
from contract.tensors import STUDENT, VAE_DECODER, Executor, Manifest, models
from export import seal
from export.__main__ import main

COMMITTED = Path(__file__).parents[2] / "model_repository"


def test_a_new_repository_is_whole_and_passes_its_check(tmp_path: Path) -> None:
    root = tmp_path / "new" / "models"
    assert main(["repository", "--root", str(root), "--executor", "torch", "--student", "nano"]) == 0
    manifest = Manifest.read(root)
    assert manifest.executor is Executor.TORCH
    assert (manifest.geometry, manifest.schedule) == (
        Manifest.read(COMMITTED).geometry,
        Manifest.read(COMMITTED).schedule,
    )
    for model in models(manifest.geometry):
        assert (root / model.name / "1" / "model.py").read_text() == (
            COMMITTED / model.name / "1" / "model.py"
        ).read_text()
    assert seal.differences(root) == []
    decoder = (root / VAE_DECODER / "config.pbtxt").read_text()
    assert "count: 1 kind: KIND_MODEL" in decoder, "the banks lie in one process's memory"


def test_another_executor_may_be_chosen_and_the_rest_stays(tmp_path: Path) -> None:
    for executor in ("torch", "onnxruntime", "tensorrt"):
        assert main(["repository", "--root", str(tmp_path), "--executor", executor, "--student", "nano"]) == 0
    manifest = Manifest.read(tmp_path)
    assert manifest.executor is Executor.TENSORRT
    assert manifest.made["command"].startswith("python -m export repository --executor torch ")
    assert seal.differences(tmp_path) == []


def test_the_5b_students_repository_is_for_its_frame(tmp_path: Path) -> None:
    arguments = ["repository", "--root", str(tmp_path), "--executor", "torch", "--student", "5b", "--frame", "480x832"]
    assert main(arguments) == 0
    geometry = Manifest.read(tmp_path).geometry
    assert (geometry.name, geometry.frame_width, geometry.frame_height) == ("5b", 480, 832)
    assert len(geometry.decoder_cache_shapes) == 32
    assert "dims: [ -1, 48, 52, 30 ]" in (tmp_path / STUDENT / "config.pbtxt").read_text()


def test_a_checkpoints_tokenizer_is_served_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, root = tmp_path / "Wan", tmp_path / "models"
    for part in ("transformer/x.safetensors", "vae", "text_encoder", "tokenizer/tokenizer.json"):
        (checkpoint / part).parent.mkdir(parents=True, exist_ok=True)
        (checkpoint / part).write_text("{}")
    arguments = ["repository", "--root", str(root), "--executor", "torch", "--student", "5b"]
    assert main(arguments) == 0
    assert Manifest.read(root).tokenizer == byte_tokenizer.NAME
    assert main([*arguments, "--weights", str(checkpoint)]) == 0
    assert Manifest.read(root).tokenizer == "tokenizer.json"
    assert (root / "text_encoder/1/tokenizer.json").read_text() == "{}"
    assert seal.differences(root) == []
    (checkpoint / "tokenizer/tokenizer.json").unlink()
    assert main([*arguments, "--weights", str(checkpoint)]) == 2
    assert "no tokenizer.json of umT5 beside the checkpoint's text_encoder" in capsys.readouterr().err


def test_without_a_manifest_the_student_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repository", "--root", str(tmp_path), "--executor", "torch"]) == 2
    assert "manifest.json" in capsys.readouterr().err
