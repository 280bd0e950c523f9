"""The student against rollouts recorded from the reference implementation."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from student import checkpoint, parity
from student.dit import CausalDiT, DiTConfig
from student.teacher_forcing import frame_mask

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDINGS = ("rollout_full", "rollout_windowed")


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recorded_tensor_is_reproduced(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main([str(GOLDEN / f"{name}.safetensors")]) == 0
    printed = capsys.readouterr().out
    for tensor in ("flow_prefill", "flow", "latents", "kv_k_final", "kv_v_final"):
        assert tensor in printed
    for tensor in ("teacher_flow", "teacher_forcing_mask"):
        assert tensor in printed


@pytest.mark.parametrize("name", RECORDINGS)
def test_errors_stay_at_the_last_digits_of_float32(name: str) -> None:
    assert max(parity.compare(GOLDEN / f"{name}.safetensors").values()) < 4e-6


def test_a_wrong_weight_fails_and_exits_1(tmp_path: Path) -> None:
    tensors = load_file(GOLDEN / "rollout_full.safetensors")
    tensors["weights.blocks.1.ffn.0.bias"] += 1e-2
    save_file(tensors, tmp_path / "rollout_full.safetensors")
    shutil.copy(GOLDEN / "rollout_full.json", tmp_path)
    assert parity.main([str(tmp_path / "rollout_full.safetensors")]) == 1


def test_one_masked_pass_over_the_clean_copy_equals_the_causal_clean_passes() -> None:
    path = GOLDEN / "rollout_full.safetensors"
    recording, want = json.loads(path.with_suffix(".json").read_text()), load_file(path)
    geometry = parity.geometry_of(recording)
    network = CausalDiT(DiTConfig.of(geometry)).eval()
    checkpoint.load(network, path, prefix="weights.")
    clean = torch.cat((want["reference"], want["garment"], want["latents"]))[None]
    frames = clean.shape[1]
    mask = frame_mask(chunks=recording["chunks"], chunk_frames=geometry.chunk_frames)[:frames, :frames]
    for axis in (0, 1):
        mask = mask.repeat_interleave(geometry.tokens_per_frame, dim=axis)
    with torch.no_grad():
        flow = network.attend_all(clean, torch.zeros(1, frames), want["text"], torch.arange(frames)[None], mask)
    causal = torch.cat((want["flow_prefill"], want["flow"][:, 4].flatten(0, 1)))
    torch.testing.assert_close(flow[0], causal, atol=5e-6, rtol=0)
