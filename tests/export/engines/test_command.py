"""The commands: what they build, what they refuse, and that a refusal is one clear line."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from contract.tensors import Manifest
from export import seal
from export.__main__ import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def text_only(copied: Path) -> Path:
    """A repository whose only graph is the text encoder's: quick to build."""
    for folder in ("student", "vae_decoder", "vae_encoder"):
        shutil.rmtree(copied / folder)
    _seal(copied)
    return copied


def _seal(root: Path) -> None:
    seal.write_manifest(root, replace(Manifest.read(root), files=seal.digests(root)))


def test_check_builds_what_the_manifest_lists(text_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--root", str(text_only)]) == 0
    captured = capsys.readouterr()
    title, line = captured.out.splitlines()
    assert title == "TensorRT-RTX 1.7.1.116 for compute capability 8.9"
    assert line.startswith(f"{text_only}/text_encoder/1/text_encoder.onnx: parsed and built, profiles: 1, engine: ")
    assert captured.err == ""


def test_check_of_some_models_alone(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--root", str(repository), "--only", "text_encoder"]) == 0
    assert [line.split(":")[0].split("/")[-1] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "text_encoder.onnx"
    ]


def test_check_exits_1_and_names_the_operator_that_tensorrt_does_not_know(
    text_only: Path, refused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(refused, text_only / "text_encoder/1/odd.onnx")
    _seal(text_only)
    assert main(["check", "--root", str(text_only)]) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()  # nothing of what TensorRT logs besides
    assert line.startswith(f"{text_only}/text_encoder/1/odd.onnx: node blocks.3/determinant (Det): UNSUPPORTED_NODE")
    assert "text_encoder.onnx: parsed and built" in captured.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "4"], "--profile 4: '4' is none of all, prefill, garment, 2, 5, 8, 11, full"),
        (["--profile", "fullx9"], "--profile fullx9: batch '9' is not in [1, 4]"),
        (["--capability", "9.0"], "--capability 9.0: none of 7.5"),
        (["--root", "/nowhere"], "No such file or directory: '/nowhere/manifest.json'"),
    ],
)
def test_check_refuses_what_it_cannot_do_in_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--root", str(ROOT / "model_repository"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m export: ")
    assert message in line


def test_check_names_a_graph_that_the_manifest_lists_and_the_folder_lacks(
    text_only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (text_only / "text_encoder/1/text_encoder.onnx").unlink()
    assert main(["check", "--root", str(text_only)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"python -m export: no graph {text_only}/text_encoder/1/text_encoder.onnx"


def test_without_the_wheels_check_names_them(repository: Path) -> None:
    program = (
        "import importlib.util as util, sys; find = util.find_spec; "
        "util.find_spec = lambda name, *rest: None if 'tensorrt_rtx' in name else find(name, *rest); "
        "from export.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program, "check", "--root", str(repository)],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "tensorrt-rtx-cu13-bindings==1.7.1.116" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--student", "5b"], "give --root FOLDER"),
        (["--student", "5b", "--root", str(ROOT / "model_repository")], "is of 'nano'"),
        (["--precision", "fp8"], "--calibration FOLDER goes with --precision fp8"),
        (["--calibration", "/nowhere"], "--calibration FOLDER goes with --precision fp8"),
        (["--precision", "fp8", "--calibration", "/nowhere"], "no folder /nowhere"),
        (["--reference", "/nowhere"], "No such file or directory: '/nowhere/manifest.json'"),
        (["--profile", "4"], "--profile 4: '4' is none of all"),
        (["--out", str(ROOT / "model_repository" / "engines")], "where Triton takes every folder for a model"),
        ([], "tensorrt is not installed"),
    ],
)
def test_tensorrt_refuses_what_it_cannot_do_in_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--root" not in options and "5b" not in options:
        options = ["--root", str(ROOT / "model_repository"), *options]
    assert main(["tensorrt", "--out", str(tmp_path / "engines"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m export: ")
    assert message in line
    assert not (tmp_path / "engines").exists()


def test_an_unknown_student_or_precision_is_refused_with_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tensorrt", "--student", "14b"])
    assert "invalid choice: '14b' (choose from 'nano', '5b')" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["tensorrt", "--precision", "int4"])
    assert "invalid choice: 'int4' (choose from 'fp32', 'bf16', 'fp8')" in capsys.readouterr().err
