"""The command: each stage goes on from the one before, and what is done is not done again."""

import json
from pathlib import Path

import numpy as np
import pytest

from training import __main__ as command
from training import dataset
from training.loop import RESULT
from training.presets import TINY

STREAMS = 4


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run's folder with a shard of latents, but without a codec: nothing is drawn."""
    random = np.random.default_rng(0)
    C, h, w = TINY.geometry.latent_shape
    shapes = {"reference": (C, h, w), "garment": (C, h, w), "video": (8, C, h, w)}
    arrays = {name: random.normal(size=(STREAMS, *shape)).astype(np.float16) for name, shape in shapes.items()}
    (tmp_path / "latents").mkdir()
    captions = np.array([json.dumps(["a person", "walks, phase 1", "walks"])] * STREAMS)
    np.savez(tmp_path / "latents" / "0000.npz", **arrays, captions=captions)
    return tmp_path


def _run(monkeypatch: pytest.MonkeyPatch, out: Path, stage: str, *options: str) -> int:
    arguments = ["training", stage, "--preset", "tiny", "--out", str(out), "--shards", "1", *options]
    monkeypatch.setattr("sys.argv", arguments)
    return command.main()


def test_stages_follow_each_other_in_one_folder(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage, options in {
        "teacher": (),
        "forcing": (),
        "reward": (),
        "dmd": ("--init", str(out / "forcing" / RESULT)),
        "consistency": (),
    }.items():
        assert _run(monkeypatch, out, stage, "--steps", "1", *options) == 0
        assert (out / stage / RESULT).exists()


def test_a_stage_needs_the_one_before(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"teacher.weights\.safetensors"):
        _run(monkeypatch, out, "forcing", "--steps", "1")


def test_time_that_runs_out_is_told_by_the_exit_code(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(monkeypatch, out, "teacher", "--steps", "3", "--minutes", "0") == 1
    assert not (out / "teacher" / RESULT).exists()
    assert _run(monkeypatch, out, "teacher", "--steps", "3") == 0


def test_vanilla_dmd_asks_for_no_critic(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("teacher", "forcing"):
        _run(monkeypatch, out, stage, "--steps", "1")
    assert _run(monkeypatch, out, "dmd", "--steps", "1", "--vanilla") == 0


@pytest.mark.parametrize("options", [(), ("--workers", "1")])
def test_a_run_goes_from_drawing_to_dmd(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "STREAMS_PER_SHARD", 8)
    assert _run(monkeypatch, tmp_path, "run", "--steps", "1", *options) == 0
    assert (tmp_path / "clips").exists() == bool(options)
    trained = ("vae", "teacher", "forcing", "reward", "dmd")
    assert all((tmp_path / stage / RESULT).exists() for stage in trained)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert _run(monkeypatch, tmp_path, "run", "--steps", "1", *options) == 0  # what is done is not done again
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == made


@pytest.mark.parametrize("option", [("--steps", "3"), ("--init", "weights.safetensors")])
def test_a_codec_is_trained_on_from_weights_for_a_number_of_steps_or_not_at_all(
    option: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _run(monkeypatch, tmp_path, "vae", *option)
    assert "vae: --init trains a codec on for --steps" in capsys.readouterr().err
