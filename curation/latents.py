"""Triplets as latents: shards of the kind that training reads (`training.dataset.LatentData`).

A shard is a .npz file with reference and garment [S, C, h, w], video [S, F, C, h, w], float16, and captions; it names
what it was made of, so that a run that was stopped, or whose manifest has changed, makes only what is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from contract.geometry import StudentGeometry
from curation.frames import Frames, Rgb, sample
from curation.store import read_picture
from student import nano, wan_5b
from student.checkpoint import load, same_name
from student.checkpoint_files import shards
from student.vae import StreamingVae, VaeConfig

STREAMS_PER_SHARD = 64
STUDENTS: Mapping[str, tuple[VaeConfig, StudentGeometry]] = {
    "nano": (nano.VAE, nano.GEOMETRY),
    "5b": (wan_5b.VAE, wan_5b.geometry()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentShape:
    """`latents` latent frames of pictures of `size` (rows, columns), `rate` a second; `caption` names one."""

    size: tuple[int, int]
    rate: int
    latents: int
    caption: str = "en_short"

    @property
    def frames(self) -> int:
        return 1 + 4 * (self.latents - 1)

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a clip is long enough."""
        return bool((self.frames - 1) / self.rate <= (row["frames"] - 1) / row["rate"])

    def places(self, row: Mapping[str, Any]) -> tuple[int, ...]:
        """Which of a clip's frames are nearest to the student's rate, from the first one on."""
        return tuple(round(number * row["rate"] / self.rate) for number in range(self.frames))


def open_vae(student: str, weights: Path, device: str) -> StreamingVae:
    """The student's VAE, with weights in diffusers' key names.

    Raises:
        CheckpointError: the weights do not fit.
    """
    vae = STUDENTS[student][0].build()
    load(vae, weights, rename=same_name)
    return StreamingVae(vae).eval().requires_grad_(False).to(device)


def digest(weights: Path) -> str:
    """Of the contents: a codec that was trained on keeps its file's name and size.

    Raises:
        FileNotFoundError: there are no weights.
    """
    found = hashlib.sha256()
    for path in shards(weights):
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def read_manifest(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_shards(
    out: Path, rows: Sequence[Mapping[str, Any]], folder: Path, *, vae: StreamingVae, shape: LatentShape, made_by: str
) -> list[Path]:
    """Every shard of the manifest's rows; those that are there already are left as they are.

    Args:
        rows: with paths below `out`; too short clips must be left out before.
        made_by: the VAE's `digest`; a shard of another is made anew.

    Raises:
        ValueError: the folder holds shards of the drawn world, or of whom nobody knows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = sorted(folder.glob("*.npz"))
    if strange := [path.name for path in before if _made_of(path) is None]:
        raise ValueError(f"{folder} holds {', '.join(strange[:3])}, not made here: choose another folder")
    paths = []
    for number, first in enumerate(range(0, len(rows), STREAMS_PER_SHARD)):
        part = rows[first : first + STREAMS_PER_SHARD]
        path, origin = folder / f"{number:04d}.npz", _origin(part, shape, made_by)
        if path not in before or _made_of(path) != origin:
            _write(path, [_encoded(out, row, vae, shape) for row in part], origin)
        paths.append(path)
    for stale in set(before) - set(paths):
        stale.unlink()
    return paths


@torch.no_grad()
def _encoded(out: Path, row: Mapping[str, Any], vae: StreamingVae, shape: LatentShape) -> dict[str, NDArray[Any]]:
    reference = filled(read_picture(out / row["src_image"]), shape.size)
    garment = padded(read_picture(out / row["cloth_image"]), shape.size)
    clip = np.stack([filled(frame, shape.size) for frame in sample(out / row["video"], shape.places(row))])
    dynamic, static = row["prompt"][shape.caption]
    return {
        "reference": _image(vae, reference),
        "garment": _image(vae, garment),
        "video": _latent(vae.encode_video(_tensor(vae, clip[None]))),
        # In the order of the drawn world's: static, dynamic with a phase, dynamic without; real motion has no phase.
        "captions": np.array(json.dumps([static, dynamic, dynamic])),
    }


def filled(picture: Rgb, size: tuple[int, int]) -> Rgb:
    """Scaled and cut to fill (rows, columns)."""
    return np.asarray(ImageOps.fit(Image.fromarray(picture), (size[1], size[0])))


def padded(picture: Rgb, size: tuple[int, int]) -> Rgb:
    """Scaled to fit into (rows, columns), on white."""
    return np.asarray(ImageOps.pad(Image.fromarray(picture), (size[1], size[0]), color=(255, 255, 255)))


def _image(vae: StreamingVae, picture: Rgb) -> NDArray[Any]:
    return _latent(vae.encode_image(_tensor(vae, picture[None])))


def _tensor(vae: StreamingVae, pixels: Frames) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).to(next(vae.parameters()).device)


def _latent(latent: torch.Tensor) -> NDArray[Any]:
    """Of a batch of one."""
    return np.asarray(latent[0].float().cpu().numpy().astype(np.float16))


def _write(path: Path, streams: Sequence[Mapping[str, NDArray[Any]]], origin: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, origin=np.array(origin), **{name: np.stack([s[name] for s in streams]) for name in streams[0]})
    partial.replace(path)


def _made_of(path: Path) -> str | None:
    """What a shard says it was made of; None: it is none of ours."""
    with np.load(path) as arrays:
        return str(arrays["origin"]) if "origin" in arrays else None


def _origin(rows: Sequence[Mapping[str, Any]], shape: LatentShape, made_by: str) -> str:
    content = json.dumps([list(map(dict, rows)), repr(shape), made_by], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
