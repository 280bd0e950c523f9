"""Which executors a repository runs on, and what that needs to be installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.tensors import MANIFEST_FILE, VAE_ENCODER, Executor, Manifest, Model, models
from executors.kinds import open_kind
from executors.onnx_kind import OnnxKind
from tests.executors.conftest import REPOSITORY


def repository(folder: Path, executor: Executor) -> Path:
    manifest = Manifest.read(REPOSITORY).to_json() | {"executor": executor.value}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


def model(name: str) -> Model:
    return next(model for model in models(Manifest.read(REPOSITORY).geometry) if model.name == name)


def test_the_embedded_student_runs_on_onnx_runtime() -> None:
    assert isinstance(open_kind(REPOSITORY), OnnxKind)


def test_a_manifest_chooses_pytorch(tmp_path: Path) -> None:
    from executors.torch_kind import TorchKind

    kind = open_kind(repository(tmp_path, Executor.TORCH))
    assert isinstance(kind, TorchKind)
    assert callable(kind.encoder(model(VAE_ENCODER)).run)


def test_weights_of_the_5b_student_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from student import wan_5b

    manifest = Manifest.read(REPOSITORY).to_json() | {"geometry": wan_5b.geometry().to_json(), "executor": "torch"}
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest))
    monkeypatch.delenv("CHAMELEON_WEIGHTS", raising=False)
    with pytest.raises(ValueError, match="set CHAMELEON_WEIGHTS: a checkpoint's folder, or 'random'"):
        open_kind(tmp_path).decoder(model("vae_decoder"))


def test_a_checkpoint_is_not_served_with_a_tokenizer_that_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from student import wan_5b

    manifest = Manifest.read(REPOSITORY).to_json() | {"geometry": wan_5b.geometry().to_json(), "executor": "torch"}
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest))
    monkeypatch.setenv("CHAMELEON_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match="no tokenizer for it: write it with `python -m export repository --weights"):
        open_kind(tmp_path).encoder(model("text_encoder"))


def test_a_fine_tune_takes_the_place_of_the_checkpoints_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from student import wan, wan_5b

    asked: dict[str, Any] = {}

    def load(_: wan.WanSizes, folder: Path, **options: Any) -> None:
        asked.update(folder=folder, **options)
        raise FileNotFoundError("asked, and that is enough")

    monkeypatch.setattr(wan.WanSizes, "load", load)
    manifest = Manifest.read(REPOSITORY).to_json() | {"geometry": wan_5b.geometry().to_json(), "executor": "torch"}
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest | {"tokenizer": "tokenizer.json"}))
    monkeypatch.setenv("CHAMELEON_WEIGHTS", "/models/wan")
    monkeypatch.setenv("CHAMELEON_NETWORK", "/models/fine-tune.pt")
    with pytest.raises(FileNotFoundError, match="asked"):
        open_kind(tmp_path).student(model("student"))
    assert (asked["folder"], asked["network"]) == (Path("/models/wan"), Path("/models/fine-tune.pt"))
    assert asked["parts"] == {"network"}


def test_fp8_is_refused_where_the_device_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CHAMELEON_PRECISION", "fp8")
    with pytest.raises(ValueError, match="fp8 needs a GPU"):
        open_kind(repository(tmp_path, Executor.TORCH)).student(model("student"))


def test_a_precision_that_there_is_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAMELEON_PRECISION", "FP8")
    with pytest.raises(ValueError, match="CHAMELEON_PRECISION: 'FP8' is not 'fp8'"):
        open_kind(repository(tmp_path, Executor.TORCH))


def test_the_tensorrt_kind_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(ValueError, match="set CHAMELEON_ENGINES"):
        open_kind(repository(tmp_path, Executor.TENSORRT))
    monkeypatch.setenv("CHAMELEON_ENGINES", str(tmp_path))
    kind = open_kind(repository(tmp_path, Executor.TENSORRT))
    for opened in (lambda: kind.student(model("student")), lambda: kind.encoder(model(VAE_ENCODER))):
        with pytest.raises(ImportError, match="need NVIDIA's TensorRT with its Python module"):
            opened()


def test_onnx_runtime_is_served_where_neither_pytorch_nor_tensorrt_is_installed() -> None:
    program = f"""
import sys
for name in ("torch", "tensorrt", "cuda", "diffusers", "transformers", "student"):
    sys.modules[name] = None
from pathlib import Path
from executors.kinds import open_kind
print(type(open_kind(Path({str(REPOSITORY)!r}))).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY.parent)
    assert done.stdout.strip() == "OnnxKind", done.stderr
