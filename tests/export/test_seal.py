"""The manifest and the configs: committed as generated, and nothing changes unseen."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.tensors import MANIFEST_FILE, Manifest, models
from export import seal
from export.__main__ import main
from export.triton_config import config_text

ROOT = Path(__file__).parents[2]
CHECK = ("configs", "--check", "--root")


def test_the_committed_files_have_the_manifests_digests(repository: Path, manifest: Manifest) -> None:
    assert seal.digests(repository) == manifest.files
    assert len(manifest.files) == 6


def test_the_committed_configs_are_what_the_contract_gives(repository: Path, manifest: Manifest) -> None:
    for model in models(manifest.geometry):
        assert (repository / model.name / "config.pbtxt").read_text() == config_text(model)


def test_the_committed_repository_passes_its_check(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CHECK, str(repository)]) == 0
    assert capsys.readouterr().err == ""


def _flip_a_byte(root: Path) -> None:
    path = root / "student/1/student.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _another_window(root: Path) -> None:
    data = json.loads((root / MANIFEST_FILE).read_text())
    data["geometry"]["latent_height"] *= 2
    (root / MANIFEST_FILE).write_text(json.dumps(data))


def _append(name: str) -> Callable[[Path], None]:
    def append(root: Path) -> None:
        with (root / name).open("a") as file:
            file.write("# by hand\n")

    return append


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (_flip_a_byte, ["student/1/student.onnx differs from the manifest"]),
        (lambda root: (root / "vae_decoder/1/weights.bin").unlink(), ["vae_decoder/1/weights.bin is missing"]),
        (lambda root: (root / "student/1/old.onnx").touch(), ["student/1/old.onnx is not in the manifest"]),
        (_append("text_encoder/config.pbtxt"), ["text_encoder/config.pbtxt is not what"]),
        (lambda root: (root / "student/config.pbtxt").unlink(), ["student/config.pbtxt is not what"]),
        (_another_window, ["student/config.pbtxt", "vae_decoder/config.pbtxt", "vae_encoder/config.pbtxt"]),
    ],
    ids=["flipped byte", "missing file", "stray file", "edited config", "missing config", "another geometry"],
)
def test_any_change_is_reported_by_name_and_exits_1(
    copied: Path, change: Callable[[Path], object], reported: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    change(copied)
    assert main([*CHECK, str(copied)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(reported)
    assert all(line.startswith(start) for line, start in zip(lines, reported, strict=True))


def test_writing_the_configs_again_mends_them_and_touches_no_graph(copied: Path) -> None:
    _append("student/config.pbtxt")(copied)
    before = seal.digests(copied)
    assert main(["configs", "--root", str(copied)]) == 0
    assert main([*CHECK, str(copied)]) == 0
    assert seal.digests(copied) == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / MANIFEST_FILE).unlink(), "manifest.json"),
        (lambda root: (root / MANIFEST_FILE).write_text('{"version": 9}'), "manifest version 9 is not 1"),
        (lambda root: (root / MANIFEST_FILE).write_text("{"), "Expecting"),
    ],
    ids=["none", "another version", "not json"],
)
def test_without_a_readable_manifest_the_check_exits_2_with_one_line(
    copied: Path, spoil: Callable[[Path], object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copied)
    assert main([*CHECK, str(copied)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m export: ")
    assert message in line


def test_the_check_needs_no_pytorch(repository: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from export.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program, *CHECK, str(repository)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_help_is_shown_where_no_command_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert "configs" in printed
    assert "onnx" in printed
