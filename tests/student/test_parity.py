"""The student against rollouts recorded from the reference implementation, and the runner that compares them."""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from student import checkpoint, parity
from student.dit import CausalDiT, DiTConfig
from student.recording import Recording
from student.teacher_forcing import frame_mask

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
RECORDINGS = sorted(path for path in GOLDEN.glob("*.safetensors") if ".teacher" not in path.name)
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A recording to spoil."""
    for path in GOLDEN.glob("rollout_full.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "rollout_full.safetensors"


def _spoil(path: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_every_recorded_tensor_is_reproduced(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main([str(path)]) == 0
    printed = capsys.readouterr().out
    for tensor in ("flow_prefill", "flow", "latents", "kv_k_final", "kv_v_final"):
        assert f"\n{tensor} " in printed
    for tensor in ("denoising_timesteps", "teacher_flow", "teacher_forcing_mask"):
        assert tensor in printed
    assert printed.rstrip().endswith("bound 1e-05: pass")


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_errors_stay_at_the_last_digits_of_float32(path: Path) -> None:
    assert max(parity.compare(Recording.read(path)).values()) < 4e-6


def test_a_whole_folder_is_compared_and_the_worst_counts(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt = shutil.copy(copied, copied.with_name("spoilt.safetensors"))
    shutil.copy(copied.with_suffix(".json"), spoilt.with_suffix(".json"))
    _spoil(spoilt, lambda tensors: tensors["latents"].view(-1)[:1].add_(1.0))
    assert parity.main([str(path) for path in sorted(copied.parent.glob("*.safetensors"))]) == 1
    verdicts = [line for line in capsys.readouterr().out.splitlines() if "largest absolute error" in line]
    assert [(line.partition(":")[0], line.split()[-1]) for line in verdicts] == [
        ("rollout_full.safetensors", "pass"),
        ("spoilt.safetensors", "FAIL"),
    ]


def test_both_kinds_of_recording_are_there() -> None:
    assert [path.stem for path in RECORDINGS] == ["rollout_full", "rollout_windowed"]


@pytest.mark.parametrize(
    ("tensor", "change"),
    [
        ("weights.blocks.1.ffn.0.bias", 1e-2),
        ("latents", 3e-5),
        ("kv_k_final", 3e-5),
        ("flow_prefill", math.nan),
    ],
)
def test_one_changed_number_exits_1(
    copied: Path, tensor: str, change: float, capsys: pytest.CaptureFixture[str]
) -> None:
    _spoil(copied, lambda tensors: tensors[tensor].view(-1)[:1].add_(change))
    assert parity.main([str(copied)]) == 1
    assert capsys.readouterr().out.rstrip().endswith("FAIL")


def test_one_flipped_bit_of_the_teachers_mask_exits_1(copied: Path) -> None:
    _spoil(
        copied.with_suffix(".teacher.safetensors"),
        lambda tensors: tensors["teacher_forcing_mask"].view(-1)[:1].logical_not_(),
    )
    assert parity.main([str(copied)]) == 1


def test_without_the_teachers_file_the_rollout_alone_is_compared(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied.with_suffix(".teacher.safetensors").unlink()
    assert parity.main([str(copied)]) == 0
    assert "(no rollout_full.teacher.safetensors beside it)" in capsys.readouterr().out


def _edit_json(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    data = json.loads(path.with_suffix(".json").read_text())
    change(data)
    path.with_suffix(".json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.with_suffix(".json").unlink(), r"rollout_full\.json is missing"),
        (lambda path: path.with_suffix(".json").write_text("{"), r"rollout_full\.json: "),
        (lambda path: _edit_json(path, lambda data: data.pop("chunks")), r"rollout_full\.json lacks 'chunks'"),
        (lambda path: _edit_json(path, lambda data: data.update(window_frames=7)), r"recent_frames 2 must be"),
        (lambda path: _edit_json(path, lambda data: data.update(chunks=5)), r"noise has shape \[12, .* asks for \[15,"),
        (lambda path: path.unlink(), r"No such file"),
        (lambda path: path.write_bytes(b"nothing"), r"rollout_full\.safetensors: .*header"),
        (lambda path: _spoil(path, lambda t: (t.pop("flow"), t.pop("text"))), r"lacks text, flow"),
        (lambda path: _spoil(path, lambda t: t.pop("weights.head.head.bias")), r"1 missing: head\.head\.bias"),
        (
            lambda path: _spoil(path.with_suffix(".teacher.safetensors"), lambda t: t.pop("teacher_flow")),
            r"teacher\.safetensors lacks teacher_flow",
        ),
    ],
)  # fmt: skip
def test_files_that_cannot_be_compared_exit_2_and_say_why(
    copied: Path, spoil: Callable[[Path], object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copied)
    assert parity.main([str(copied)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("python -m student.parity: ")
    assert re.search(message, captured.err), captured.err


def test_another_files_name_is_refused_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main([str(GOLDEN / "rollout_full.json")]) == 2
    assert "a recording's name ends in .safetensors" in capsys.readouterr().err


def test_help_says_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parity.main(["--help"])
    assert (
        "Exits 0 if all are within 1e-5, 1 if one is not, 2 if the\nfiles cannot be compared."
        in capsys.readouterr().out
    )


def test_a_user_who_forgot_the_json_sees_one_line_and_no_traceback(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    command = [sys.executable, "-m", "student.parity", str(copied)]
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert len(failed.stderr.splitlines()) == 1


def test_a_recording_too_short_for_any_eviction_is_read(copied: Path) -> None:
    def first_two_chunks(tensors: Tensors) -> None:
        for name in ("noise", "latents"):
            tensors[name] = tensors[name][:6].clone()
        for name in ("renoise", "flow"):
            tensors[name] = tensors[name][:2].clone()
        for name in ("kv_k_final", "kv_v_final"):
            tensors[name] = tensors[name][:, : 8 * 6].clone()

    _spoil(copied, first_two_chunks)
    _edit_json(copied, lambda data: data.update(chunks=2))
    copied.with_suffix(".teacher.safetensors").unlink()
    assert parity.main([str(copied)]) == 0


def test_one_masked_pass_over_the_clean_copy_equals_the_causal_clean_passes() -> None:
    recording = Recording.read(GOLDEN / "rollout_full.safetensors")
    geometry, want = recording.geometry, recording.tensors
    network = CausalDiT(DiTConfig.of(geometry)).eval()
    checkpoint.load(network, recording.path, prefix="weights.")
    clean = torch.cat((want["reference"], want["garment"], want["latents"]))[None]
    frames = clean.shape[1]
    mask = frame_mask(chunks=recording.chunks, chunk_frames=geometry.chunk_frames)[:frames, :frames]
    for axis in (0, 1):
        mask = mask.repeat_interleave(geometry.tokens_per_frame, dim=axis)
    with torch.no_grad():
        flow = network.attend_all(clean, torch.zeros(1, frames), want["text"], torch.arange(frames)[None], mask)
    causal = torch.cat((want["flow_prefill"], want["flow"][:, 4].flatten(0, 1)))
    torch.testing.assert_close(flow[0], causal, atol=5e-6, rtol=0)
