"""The command: each stage goes on from the one before, what is done is not done again, and what does not belong
together is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from training import __main__ as command
from training import dataset
from training.checkpoints import write_tensors
from training.loop import RESULT, Pace
from training.origin import RECORD, bind, digest, read
from training.presets import TINY
from training.stage import Stage

STREAMS = 4
MADE = {"preset": TINY.name, "seed": TINY.seed}
Caught = pytest.CaptureFixture[str]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run's folder with a shard of latents, but without a codec: nothing is drawn."""
    bind(tmp_path / "latents", MADE)
    _write_latents(tmp_path / "latents", seed=0)
    return tmp_path


def _write_latents(folder: Path, *, seed: int) -> None:
    random = np.random.default_rng(seed)
    C, h, w = TINY.geometry.latent_shape
    shapes = {"reference": (C, h, w), "garment": (C, h, w), "video": (8, C, h, w)}
    arrays = {name: random.normal(size=(STREAMS, *shape)).astype(np.float16) for name, shape in shapes.items()}
    captions = np.array([json.dumps(["a person", "walks, phase 1", "walks"])] * STREAMS)
    folder.mkdir(exist_ok=True)
    np.savez(folder / "0000.npz", **arrays, captions=captions)


def _write_codec(path: Path, *, seed: int) -> Path:
    assert TINY.codec is not None
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, TINY.codec.network.build().state_dict())
    return path


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


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


def test_a_stage_needs_the_one_before(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    assert _run(monkeypatch, out, "forcing", "--steps", "1") == 2
    assert "teacher/weights.safetensors" in capsys.readouterr().err


def test_weights_that_do_not_fit_are_refused(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    other = _write_codec(out / "other.safetensors", seed=0)
    assert _run(monkeypatch, out, "teacher", "--init", str(other)) == 2
    assert capsys.readouterr().err.startswith("python -m training: ")


def test_time_that_runs_out_is_told_by_the_exit_code(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(monkeypatch, out, "teacher", "--steps", "3", "--minutes", "0") == 1
    assert not (out / "teacher" / RESULT).exists()
    assert _run(monkeypatch, out, "teacher", "--steps", "3") == 0


def test_minutes_count_from_the_commands_start(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float | None] = []

    def train(_stage: Stage, _folder: Path, *, pace: Pace, **_: object) -> bool:
        given.append(pace.minutes)
        return True

    monkeypatch.setattr(command.loop, "train", train)
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=iter((0.0, 30.0)).__next__))
    assert _run(monkeypatch, out, "teacher", "--minutes", "2") == 0
    assert given == [1.5]


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
    assert (read(tmp_path / "dmd") or {})["codec"] == digest(tmp_path / "vae" / RESULT)
    shutil.rmtree(tmp_path / "clips", ignore_errors=True)  # as one may once the latents are there
    made = _files(tmp_path)
    assert _run(monkeypatch, tmp_path, "run", "--steps", "1") == 0  # what is done is not done again
    assert _files(tmp_path) == made


def test_in_a_run_the_given_weights_are_the_teachers_start(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(monkeypatch, out, "teacher", "--steps", "1") == 0
    start = (out / "teacher").rename(out / "start") / RESULT
    codec = _write_codec(out / "codec.safetensors", seed=0)
    (out / "latents").rename(out / "elsewhere")
    (out / "elsewhere" / RECORD).unlink()
    given = ("--data", str(out / "elsewhere"), "--vae", str(codec), "--init", str(start))
    monkeypatch.setattr(command, "_sheets", lambda *_: None)  # which take time
    assert _run(monkeypatch, out, "run", "--steps", "1", "--vanilla", *given) == 0
    starts = [(read(out / name) or {})["init"] for name in ("teacher", "forcing", "dmd")]
    assert starts == [digest(path) for path in (start, out / "teacher" / RESULT, out / "forcing" / RESULT)]


def test_another_preset_is_refused_even_where_all_is_done(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    assert _run(monkeypatch, out, "teacher", "--steps", "1") == 0
    before = _files(out)
    monkeypatch.setitem(command.PRESETS, "tiny", replace(TINY, name="small", seed=8))
    for options in ((), ("--data", str(out / "latents"))):
        assert _run(monkeypatch, out, "teacher", "--steps", "1", *options) == 2
        folder = "teacher" if options else "latents"
        told = f"{out / folder} was made of something else: preset was tiny and is small, seed was 7 and is 8. Choose"
        assert told in capsys.readouterr().err
    assert _files(out) == before


def test_a_stage_that_was_stopped_goes_on_for_as_many_steps(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    assert _run(monkeypatch, out, "teacher", "--steps", "3", "--minutes", "0") == 1
    assert _run(monkeypatch, out, "teacher", "--steps", "4") == 2
    assert "steps was 3 and is 4" in capsys.readouterr().err


def test_latents_of_a_codec_that_was_trained_anew_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    codec, latents = tmp_path / "vae" / RESULT, tmp_path / "latents"
    monkeypatch.setattr(dataset, "STREAMS_PER_SHARD", 8)
    bind(codec.parent, MADE)
    _write_codec(codec, seed=0)
    assert _run(monkeypatch, tmp_path, "latents") == 0
    assert _run(monkeypatch, tmp_path, "teacher", "--steps", "1") == 0
    _write_codec(codec, seed=1)
    for stage in ("latents", "forcing"):
        assert _run(monkeypatch, tmp_path, stage) == 2
        assert f"{latents} was made of something else: codec was sha256:" in capsys.readouterr().err
    shutil.rmtree(latents)
    assert _run(monkeypatch, tmp_path, "latents") == 0
    for stage in ("teacher", "forcing"):  # of which the one is done, and the other would start from it
        assert _run(monkeypatch, tmp_path, stage, "--steps", "1") == 2
        assert f"{tmp_path / 'teacher'} was made of something else: codec was sha256:" in capsys.readouterr().err


def test_latents_of_another_run_belong_to_its_codec(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    ours, theirs = (_write_codec(out / f"{seed}.safetensors", seed=seed) for seed in (0, 1))
    bind(out / "theirs", {"preset": "another", "seed": 0, "codec": digest(theirs)})
    _write_latents(out / "theirs", seed=0)
    data = ("--data", str(out / "theirs"), "--steps", "1")
    assert _run(monkeypatch, out, "teacher", *data, "--vae", str(ours)) == 2
    assert "codec was sha256:" in capsys.readouterr().err
    assert _run(monkeypatch, out, "teacher", *data, "--vae", str(theirs)) == 0
    assert _run(monkeypatch, out, "teacher", *data) == 0  # no codec there to draw samples, and the latents name theirs


def test_latents_that_name_no_codec_are_known_by_their_contents(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    elsewhere = out / "elsewhere"
    _write_latents(elsewhere, seed=0)
    assert _run(monkeypatch, out, "teacher", "--steps", "2", "--minutes", "0", "--data", str(elsewhere)) == 1
    _write_latents(elsewhere, seed=1)
    assert _run(monkeypatch, out, "teacher", "--steps", "2", "--data", str(elsewhere)) == 2
    assert "latents was sha256:" in capsys.readouterr().err


def test_a_codec_trained_on_from_other_weights_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    first, other = (str(_write_codec(tmp_path / f"{seed}.safetensors", seed=seed)) for seed in (0, 1))
    assert _run(monkeypatch, tmp_path, "vae", "--init", first, "--steps", "2") == 0
    assert _run(monkeypatch, tmp_path, "vae", "--init", first, "--steps", "2") == 0
    for init, steps, told in ((other, "2", "init was sha256:"), (first, "1", "steps was 2 and is 1")):
        assert _run(monkeypatch, tmp_path, "vae", "--init", init, "--steps", steps) == 2
        assert told in capsys.readouterr().err
    assert _run(monkeypatch, tmp_path, "vae") == 2  # from nothing


def test_a_codec_goes_on_with_the_clips_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    assert _run(monkeypatch, tmp_path, "vae", "--minutes", "0") == 1
    bind(tmp_path / "clips", MADE)
    assert _run(monkeypatch, tmp_path, "vae") == 2
    assert "clips was none and is 1" in capsys.readouterr().err


def test_clips_of_another_preset_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    bind(tmp_path / "clips", {**MADE, "preset": "other"})
    (tmp_path / "clips" / "0000").mkdir()
    for stage in ("clips", "vae"):
        assert _run(monkeypatch, tmp_path, stage) == 2
        assert f"{tmp_path / 'clips'} was made of something else: preset was other" in capsys.readouterr().err


def test_a_folder_of_before_is_refused_and_its_weights_may_be_named(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    assert _run(monkeypatch, out, "teacher", "--steps", "1") == 0
    (out / "teacher" / RECORD).unlink()
    for stage in ("teacher", "forcing"):
        assert _run(monkeypatch, out, stage, "--steps", "1") == 2
        assert f"{out / 'teacher'} does not say what made it" in capsys.readouterr().err
    assert _run(monkeypatch, out, "forcing", "--steps", "1", "--init", str(out / "teacher" / RESULT)) == 0
