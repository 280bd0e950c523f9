"""The drawn world as latents: streams are drawn and encoded once, shard by shard, and batches are cut from them.

A shard is a .npz file, a function of (seed, shard number, codec): a run that was stopped goes on with the next missing
one, and several processes share the work. A batch is a function of (seed, step).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from student.vae import StreamingVae
from training.batch import LatentBatch
from training.draws import WHOLE, Share
from training.world import Sample, Split, brief_caption, draw_sample, dynamic_caption

STREAMS_PER_SHARD = 64
_TOGETHER = 8  # PyTorch takes a slow convolution over time for a single clip
PHASE_TOLD = 0.5
"""Share of captions that tell the motion's phase at the first frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShape:
    """What is drawn for each stream: `latents` latent frames of pictures of `size` (rows, columns)."""

    latents: int
    size: tuple[int, int]

    @property
    def frames(self) -> int:
        return 1 + 4 * (self.latents - 1)


def write_shard(folder: Path, number: int, *, vae: StreamingVae, seed: int, shape: StreamShape) -> Path:
    """Draw, encode and write one shard; whole or not at all."""
    parts = [
        _streams(number, first, vae=vae, seed=seed, shape=shape) for first in range(0, STREAMS_PER_SHARD, _TOGETHER)
    ]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    path = _shard(folder, number)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.rename(path)
    return path


@torch.no_grad()
def _streams(number: int, first: int, *, vae: StreamingVae, seed: int, shape: StreamShape) -> dict[str, NDArray[Any]]:
    """Streams from `first` on of a shard, encoded side by side."""
    seeds = [int(np.random.default_rng((seed, number, first + i)).integers(2**62)) for i in range(_TOGETHER)]
    samples = [draw_sample(each, Split.TRAIN, frames=shape.frames, size=shape.size) for each in seeds]
    pictures = {"reference": [s.reference for s in samples], "garment": [s.product for s in samples]}
    latents = {name: vae.encode_image(torch.from_numpy(np.stack(shown))) for name, shown in pictures.items()}
    latents["video"] = vae.encode_video(torch.from_numpy(np.stack([sample.clip for sample in samples])))
    captions = np.array([json.dumps(_captions(sample)) for sample in samples])
    return {name: latent.numpy().astype(np.float16) for name, latent in latents.items()} | {"captions": captions}


def _captions(sample: Sample) -> list[str]:
    """The static one, and the dynamic one with and without the phase."""
    dynamic = [dynamic_caption(sample.person, sample.motion, told) for told in (sample.motion.phase(0), None)]
    return [brief_caption(sample.person, sample.garment), *dynamic]


def write_shards(
    folder: Path, shards: int, *, vae: StreamingVae, seed: int, shape: StreamShape, share: Share = WHOLE
) -> None:
    """Write this process's part of the missing shards, and say how it goes."""
    mine = [number for number in range(share.rank, shards, share.world) if not _shard(folder, number).exists()]
    began = time.monotonic()
    for done, number in enumerate(mine, 1):
        path = write_shard(folder, number, vae=vae, seed=seed, shape=shape)
        spent = time.monotonic() - began
        print(
            f"{path} {done}/{len(mine)}, {spent:.0f} s gone, {spent / done * (len(mine) - done):.0f} s left", flush=True
        )


class LatentData:
    """Batches cut from a folder of shards.

    Args:
        shards: how many of the folder's shards count; the same number must be given to continue a run.
        chunks, chunk_frames: a cut is a stream's first chunk, and `chunks` - 1 that follow each other from a random
            chunk on: so a network learns the window as a long stream leaves it, with a gap behind the sink.
        full_captions: share of captions that begin with the static part.

    Raises:
        FileNotFoundError: if the folder lacks one of the shards.
    """

    def __init__(
        self, folder: Path, *, shards: int, seed: int, batch: int, chunks: int, chunk_frames: int, full_captions: float
    ) -> None:
        read = [_read(_shard(folder, number)) for number in range(shards)]
        self._reference, self._garment, self._video = (
            np.concatenate([part[name] for part in read]) for name in ("reference", "garment", "video")
        )
        self._captions: list[list[str]] = [json.loads(str(caption)) for part in read for caption in part["captions"]]
        self._seed, self._batch, self._full_captions = seed, batch, full_captions
        self._chunks, self._chunk_frames = chunks, chunk_frames

    def __len__(self) -> int:
        return len(self._video)

    def draw(self, step: int) -> LatentBatch:
        random = np.random.default_rng((self._seed, step))
        streams = random.integers(len(self), size=self._batch)
        cuts = [self._cut(random) for _ in streams]
        video = np.stack([self._video[stream][cut] for stream, cut in zip(streams, cuts, strict=True)])
        return LatentBatch(
            reference=_tensor(self._reference[streams]),
            garment=_tensor(self._garment[streams]),
            video=_tensor(video),
            captions=[self._caption(random, stream) for stream in streams],
        )

    def _cut(self, random: np.random.Generator) -> NDArray[np.int64]:
        tail = (self._chunks - 1) * self._chunk_frames
        last = self._video.shape[1] // self._chunk_frames - (self._chunks - 1)
        start = int(random.integers(1, last + 1)) * self._chunk_frames
        return np.concatenate((np.arange(self._chunk_frames), np.arange(start, start + tail)))

    def _caption(self, random: np.random.Generator, stream: int) -> str:
        static, with_phase, without = self._captions[stream]
        dynamic = with_phase if random.random() < PHASE_TOLD else without
        return f"{static} {dynamic}" if random.random() < self._full_captions else dynamic


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.npz"


def _read(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return dict(arrays)


def _tensor(array: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
