"""`python -m student.parity FILE.safetensors`: this student against a recorded rollout of the reference implementation.

The configuration lies in the .json beside the file; FILE.teacher.safetensors beside it, if it exists, holds a
bidirectional forward and the teacher-forcing mask. Prints the largest absolute error of every tensor; exits 1 above the
bound.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from contract.cache_plan import PositionMode
from contract.geometry import CONDITION_FRAMES, StudentGeometry
from contract.schedule import DenoisingSchedule, Pass
from student import checkpoint
from student.dit import CausalDiT, DiTConfig
from student.rollout import LatentStream, Noise
from student.rope import rotate
from student.teacher_forcing import token_mask

BOUND = 1e-5


def geometry_of(recording: dict[str, Any]) -> StudentGeometry:
    """The geometry of a recording's .json; without a window, one that holds every chunk."""
    config, latent, chunk_frames = recording["config"], recording["latent"], recording["frames_per_chunk"]
    window = recording["window_frames"] or CONDITION_FRAMES + recording["chunks"] * chunk_frames
    return StudentGeometry(
        name="recording",
        dim=config["dim"],
        ffn_dim=config["ffn_dim"],
        num_heads=config["num_heads"],
        num_layers=config["num_layers"],
        freq_dim=config["freq_dim"],
        text_dim=config["text_dim"],
        text_tokens=config["text_len"],
        latent_channels=latent["channels"],
        latent_height=latent["height"],
        latent_width=latent["width"],
        patch_height=config["patch_size"][1],
        patch_width=config["patch_size"][2],
        chunk_frames=chunk_frames,
        sink_frames=chunk_frames,
        recent_frames=window - CONDITION_FRAMES - chunk_frames,
    )


def compare(path: Path) -> dict[str, float]:
    """The largest absolute error of each recorded tensor; infinite where a shape or a mask differs."""
    recording = json.loads(path.with_suffix(".json").read_text())
    geometry = geometry_of(recording)
    want = load_file(path)
    network = CausalDiT(DiTConfig.of(geometry)).eval()
    checkpoint.load(network, path, prefix="weights.")
    errors = _compare_rollout(network, geometry, recording["chunks"], want)
    teacher = path.with_suffix(".teacher.safetensors")
    if teacher.is_file():
        errors |= _compare_teacher(network, geometry, recording["chunks"], want, load_file(teacher))
    return errors


def _compare_rollout(
    network: CausalDiT, geometry: StudentGeometry, chunks: int, want: dict[str, Tensor]
) -> dict[str, float]:
    stream = LatentStream(network, geometry, noise=_recorded_noise(geometry, want), position_mode=PositionMode.ABSOLUTE)
    flow_prefill = stream.start(want["reference"], want["garment"], want["text"])
    flows: list[Tensor] = []

    def record(_: Pass, flow: Tensor) -> None:
        flows.append(flow[0])

    with torch.no_grad():
        latents = torch.cat([stream.chunk(record)[0] for _ in range(chunks)])
        keys, values = _final_cache(stream, network, geometry)
    got = {
        "flow_prefill": flow_prefill[0],
        "flow": torch.stack(flows).unflatten(0, (chunks, -1)),
        "latents": latents,
        "kv_k_final": keys,
        "kv_v_final": values,
    }
    errors = {"denoising_timesteps": _schedule_error(want["denoising_timesteps"])}
    return errors | {name: _error(tensor, want[name]) for name, tensor in got.items()}


def _compare_teacher(
    network: CausalDiT,
    geometry: StudentGeometry,
    chunks: int,
    want: dict[str, Tensor],
    teacher: dict[str, Tensor],
) -> dict[str, float]:
    latent = torch.cat((want["reference"], want["garment"], want["noise"]))[None]
    timestep = teacher["teacher_timesteps"][:: geometry.tokens_per_frame][None]
    position = torch.arange(latent.shape[1])[None]
    with torch.no_grad():
        flow = network.attend_all(latent, timestep, want["text"], position)
    mask = token_mask(chunks=chunks, chunk_frames=geometry.chunk_frames, tokens_per_frame=geometry.tokens_per_frame)
    return {
        "teacher_flow": _error(flow[0], teacher["teacher_flow"]),
        "teacher_forcing_mask": _error(mask, teacher["teacher_forcing_mask"]),
    }


def _recorded_noise(geometry: StudentGeometry, want: dict[str, Tensor]) -> Noise:
    def draw(_: int, chunk: int, pass_index: int, shape: tuple[int, ...]) -> Tensor:
        first = chunk * geometry.chunk_frames
        noise = (
            want["noise"][first : first + geometry.chunk_frames]
            if pass_index == 0
            else want["renoise"][chunk, pass_index - 1]
        )
        return noise.reshape(shape)

    return draw


def _final_cache(stream: LatentStream, network: CausalDiT, geometry: StudentGeometry) -> tuple[Tensor, Tensor]:
    """Keys, rotated at absolute positions, and values of all slots in use, oldest first: [layers, tokens, H, D]."""
    state = stream.state
    assert state is not None
    physical = state.slots + state.staged
    order = sorted(range(len(physical)), key=lambda slot: (slot >= CONDITION_FRAMES, physical[slot].frame))
    positions = [CONDITION_FRAMES + physical[slot].frame if slot >= CONDITION_FRAMES else slot for slot in order]
    grid = (geometry.latent_height // geometry.patch_height, geometry.latent_width // geometry.patch_width)
    rotation = network.rope(torch.tensor([positions]), grid)
    per_slot = [stream.cache.read(slot, 1) for slot in order]
    keys = [torch.cat(layer, dim=1) for layer in zip(*(k for k, _ in per_slot), strict=True)]
    values = [torch.cat(layer, dim=1) for layer in zip(*(v for _, v in per_slot), strict=True)]
    return torch.stack([rotate(k, *rotation)[0] for k in keys]), torch.stack([v[0] for v in values])


def _schedule_error(recorded: Tensor) -> float:
    passes = DenoisingSchedule().denoising_passes()
    if any(step.timestep != int(value) for step, value in zip(passes, recorded.tolist(), strict=True)):
        return float("inf")
    # As a fraction of the range, in which sigma is counted.
    return _error(torch.tensor([step.sigma for step in passes]), recorded / 1000)


def _error(got: Tensor, want: Tensor) -> float:
    if got.shape != want.shape:
        return float("inf")
    if want.dtype == torch.bool:
        return 0.0 if torch.equal(got, want) else float("inf")
    return (got - want).abs().max().item()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m student.parity", description=__doc__)
    parser.add_argument("file", type=Path, help="a recorded rollout, with its .json beside it")
    path = parser.parse_args(arguments).file
    errors = compare(path)
    for name, error in errors.items():
        print(f"{name:24} {error:.2e}")
    worst = max(errors.values())
    print(f"{path.name}: largest absolute error {worst:.2e}, bound {BOUND:.0e}: {'pass' if worst <= BOUND else 'FAIL'}")
    return 0 if worst <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
