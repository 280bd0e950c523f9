"""Compare this student with recorded rollouts of the reference implementation, tensor by tensor.

Prints the largest absolute error of each recorded tensor. Exits 0 if all are within 1e-5, 1 if one is not, 2 if the
files cannot be compared.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from torch import Tensor

from contract.cache_plan import PositionMode
from contract.geometry import CONDITION_FRAMES, StudentGeometry
from contract.schedule import DenoisingSchedule, Pass
from student import checkpoint
from student.dit import CausalDiT, DiTConfig
from student.recording import WEIGHTS_PREFIX, Recording, RecordingError
from student.rollout import LatentStream, Noise
from student.rope import rotate
from student.teacher_forcing import token_mask

BOUND = 1e-5
"""Absolute, in float32; another order of summation costs about 2e-6."""


def compare(recording: Recording) -> dict[str, float]:
    """The largest absolute error of each recorded tensor; infinite where a mask or a timestep differs, or for NaN.

    Raises:
        CheckpointError: if the recorded weights do not fit the recorded configuration.
    """
    network = CausalDiT(DiTConfig.of(recording.geometry)).eval()
    checkpoint.load(network, recording.path, prefix=WEIGHTS_PREFIX)
    with torch.no_grad():
        errors = _compare_rollout(network, recording)
        return errors | _compare_teacher(network, recording) if recording.teacher else errors


def _compare_rollout(network: CausalDiT, recording: Recording) -> dict[str, float]:
    geometry, want = recording.geometry, recording.tensors
    stream = LatentStream(network, geometry, noise=_recorded_noise(recording), position_mode=PositionMode.ABSOLUTE)
    flow_prefill = stream.start(want["reference"], want["garment"], want["text"])
    flows: list[Tensor] = []

    def record(_: Pass, flow: Tensor) -> None:
        flows.append(flow[0])

    latents = torch.cat([stream.chunk(record)[0] for _ in range(recording.chunks)])
    keys, values = _final_cache(stream, network, geometry)
    got = {
        "flow_prefill": flow_prefill[0],
        "flow": torch.stack(flows).view_as(want["flow"]),
        "latents": latents,
        "kv_k_final": keys,
        "kv_v_final": values,
    }
    errors = {"denoising_timesteps": _schedule_error(want["denoising_timesteps"])}
    return errors | {name: _error(tensor, want[name]) for name, tensor in got.items()}


def _compare_teacher(network: CausalDiT, recording: Recording) -> dict[str, float]:
    geometry, want, teacher = recording.geometry, recording.tensors, recording.teacher
    latent = torch.cat((want["reference"], want["garment"], want["noise"]))[None]
    timestep = teacher["teacher_timesteps"][:: geometry.tokens_per_frame][None]
    flow = network.attend_all(latent, timestep, want["text"], torch.arange(latent.shape[1])[None])
    mask = token_mask(
        chunks=recording.chunks, chunk_frames=geometry.chunk_frames, tokens_per_frame=geometry.tokens_per_frame
    )
    return {
        "teacher_flow": _error(flow[0], teacher["teacher_flow"]),
        "teacher_forcing_mask": 0.0 if torch.equal(mask, teacher["teacher_forcing_mask"]) else math.inf,
    }


def _recorded_noise(recording: Recording) -> Noise:
    frames, want = recording.geometry.chunk_frames, recording.tensors

    def draw(_: int, chunk: int, pass_index: int, shape: tuple[int, ...]) -> Tensor:
        initial = want["noise"][chunk * frames : (chunk + 1) * frames]
        return (initial if pass_index == 0 else want["renoise"][chunk, pass_index - 1]).reshape(shape)

    return draw


def _final_cache(stream: LatentStream, network: CausalDiT, geometry: StudentGeometry) -> tuple[Tensor, Tensor]:
    """Keys, rotated at absolute positions, and values of all slots in use, oldest first: [layers, tokens, H, D]."""
    physical = stream.state.slots + stream.state.staged
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
        return math.inf
    # As a fraction of the range, in which sigma is counted.
    return _error(torch.tensor([step.sigma for step in passes]), recorded / 1000)


def _error(got: Tensor, want: Tensor) -> float:
    error = (got - want).abs().max().item()
    return math.inf if math.isnan(error) else error


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m student.parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE.safetensors",
        help="a recorded rollout; its configuration lies beside it in FILE.json, and FILE.teacher.safetensors there, "
        "a bidirectional forward and the teacher-forcing mask, is compared too; of several the worst exit code counts",
    )
    paths = parser.parse_args(arguments).files
    teachers = {path.with_suffix(".teacher.safetensors") for path in paths}  # compared with their rollouts
    return max(_report(parser.prog, path) for path in paths if path not in teachers)


def _report(program: str, path: Path) -> int:
    """Print the errors of one recording; its exit code."""
    try:
        recording = Recording.read(path)
        errors = compare(recording)
    except (RecordingError, checkpoint.CheckpointError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    for name, largest in errors.items():
        print(f"{name:24} {largest:.2e}")
    if not recording.teacher:
        print(f"(no {path.stem}.teacher.safetensors beside it)")
    worst = max(errors.values())
    verdict = "pass" if worst <= BOUND else "FAIL"
    print(f"{path.name}: largest absolute error {worst:.2e}, bound {BOUND:.0e}: {verdict}")
    return 0 if verdict == "pass" else 1


if __name__ == "__main__":
    sys.exit(main())
