"""A recorded rollout of the reference implementation, read and checked: what `parity` compares with.

Three files of one stem (the format is described in tests/golden/README.md):

    NAME.json                  configuration
    NAME.safetensors           weights.*, inputs, outputs of every pass, final cache
    NAME.teacher.safetensors   optional: a bidirectional forward, the teacher-forcing mask
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from contract.geometry import CONDITION_FRAMES, StudentGeometry
from contract.schedule import DenoisingSchedule

WEIGHTS_PREFIX = "weights."
_SUFFIX = ".safetensors"


class RecordingError(ValueError):
    """The files are no recording, or do not fit each other; the message names the file and what is wrong in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One rollout of the reference implementation.

    Attributes:
        path: the .safetensors file, which holds the weights too.
        geometry: the network, the latent grid and the window; a window without eviction holds every chunk.
        chunks: K, chunks generated.
        tensors: inputs and outputs of the rollout, of the shapes that `geometry` and `chunks` ask for.
        teacher: the bidirectional forward and the mask; empty if they were not recorded.
    """

    path: Path
    geometry: StudentGeometry
    chunks: int
    tensors: Mapping[str, Tensor]
    teacher: Mapping[str, Tensor]

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a .safetensors file and what lies beside it.

        Raises:
            RecordingError: if a file is missing or unreadable, or a tensor missing or misshapen.
        """
        if path.suffix != _SUFFIX:
            raise RecordingError(f"{path}: a recording's name ends in {_SUFFIX}")
        geometry, chunks = _configuration(path.with_suffix(".json"))
        tensors = _load(path, _rollout_shapes(geometry, chunks))
        teacher_path = path.with_suffix(f".teacher{_SUFFIX}")
        teacher = _load(teacher_path, _teacher_shapes(geometry, chunks)) if teacher_path.exists() else {}
        return cls(path=path, geometry=geometry, chunks=chunks, tensors=tensors, teacher=teacher)


def _configuration(path: Path) -> tuple[StudentGeometry, int]:
    try:
        data = json.loads(path.read_text())
        return _geometry(data), int(data["chunks"])
    except FileNotFoundError as error:
        raise RecordingError(f"{path} is missing: the recording's configuration belongs beside its tensors") from error
    except KeyError as error:
        raise RecordingError(f"{path} lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{path}: {error}") from error


def _geometry(data: Mapping[str, Any]) -> StudentGeometry:
    config, latent, chunk_frames = data["config"], data["latent"], data["frames_per_chunk"]
    # The first chunk is the sink. Without a window there is room for every chunk.
    all_frames = CONDITION_FRAMES + max(data["chunks"], 3) * chunk_frames
    window = data["window_frames"] or all_frames
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


def _rollout_shapes(geometry: StudentGeometry, chunks: int) -> dict[str, tuple[int, ...]]:
    F, latent = geometry.chunk_frames, geometry.latent_shape
    passes = len(DenoisingSchedule().denoising_passes())
    cached = min(geometry.window_frames, CONDITION_FRAMES + chunks * F) * geometry.tokens_per_frame
    kv = (geometry.num_layers, cached, geometry.num_heads, geometry.head_dim)
    return {
        "text": (1, geometry.text_tokens, geometry.text_dim),
        "reference": (1, *latent),
        "garment": (1, *latent),
        "noise": (chunks * F, *latent),
        "renoise": (chunks, passes - 1, F, *latent),
        "denoising_timesteps": (passes,),
        "flow_prefill": (CONDITION_FRAMES, *latent),
        "flow": (chunks, passes + 1, F, *latent),
        "latents": (chunks * F, *latent),
        "kv_k_final": kv,
        "kv_v_final": kv,
    }


def _teacher_shapes(geometry: StudentGeometry, chunks: int) -> dict[str, tuple[int, ...]]:
    frames = CONDITION_FRAMES + chunks * geometry.chunk_frames
    tokens = frames * geometry.tokens_per_frame
    return {
        "teacher_timesteps": (tokens,),
        "teacher_flow": (frames, *geometry.latent_shape),
        "teacher_forcing_mask": (2 * tokens, 2 * tokens),
    }


def _load(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RecordingError(f"{path}: {error}") from error
    if missing := [name for name in shapes if name not in found]:
        raise RecordingError(f"{path} lacks {', '.join(missing)}")
    for name, shape in shapes.items():
        if found[name].shape != shape:
            raise RecordingError(
                f"{path}: {name} has shape {list(found[name].shape)}, and its .json asks for {list(shape)}"
            )
    return {name: found[name] for name in shapes}
