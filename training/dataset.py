"""The drawn world as latents: streams are encoded once, shard by shard, and batches are cut from them.

A shard is a .npz file, a function of (seed, shard number, codec): a run that was stopped goes on with the next missing
one, and several processes share the work. A batch is a function of (seed, step).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from student.vae import StreamingVae
from training.batch import LatentBatch
from training.clips import STREAMS_PER_SHARD, Clips, Streams, StreamShape, draw_streams
from training.draws import WHOLE, Share

_TOGETHER = {"cpu": 8, "cuda": 64}
"""Clips encoded side by side: more fill a GPU, and PyTorch takes a slow convolution over time for a single one."""
PHASE_TOLD = 0.5
"""Share of captions that tell the motion's phase at the first frame."""


def write_shard(
    folder: Path, number: int, *, vae: StreamingVae, seed: int, shape: StreamShape, clips: Clips | None = None
) -> Path:
    """Encode and write one shard, drawn now unless it is among `clips`; whole or not at all."""
    together = _TOGETHER[vae.mean.device.type]
    parts = []
    for first in range(0, STREAMS_PER_SHARD, together):
        count = min(together, STREAMS_PER_SHARD - first)
        if clips is not None and number in clips:
            streams = clips.streams(number, first, count)
        else:
            streams = draw_streams(number, first, count, seed=seed, shape=shape)
        parts.append(_encoded(streams, vae))
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    path = shard_path(folder, number)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.rename(path)
    return path


@torch.no_grad()
def _encoded(streams: Streams, vae: StreamingVae) -> dict[str, NDArray[Any]]:
    def on_device(pictures: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pictures)).to(vae.mean.device)

    latents = {
        "reference": vae.encode_image(on_device(streams.reference)),
        "garment": vae.encode_image(on_device(streams.product)),
        "video": vae.encode_video(on_device(streams.clip)),
    }
    captions = np.array([json.dumps(told) for told in streams.captions])
    return {name: latent.cpu().numpy().astype(np.float16) for name, latent in latents.items()} | {"captions": captions}


def write_shards(
    folder: Path,
    shards: int,
    *,
    vae: StreamingVae,
    seed: int,
    shape: StreamShape,
    share: Share = WHOLE,
    clips: Clips | None = None,
) -> None:
    """Write this process's part of the missing shards, and say how it goes."""
    mine = [number for number in range(share.rank, shards, share.world) if not shard_path(folder, number).exists()]
    began = time.monotonic()
    for done, number in enumerate(mine, 1):
        path = write_shard(folder, number, vae=vae, seed=seed, shape=shape, clips=clips)
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
        device: where the latents lie and batches are cut.
        full_captions: share of captions that begin with the static part.

    Raises:
        FileNotFoundError: if the folder lacks one of the shards.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shards: int,
        seed: int,
        batch: int,
        chunks: int,
        chunk_frames: int,
        full_captions: float,
        device: torch.device | str = "cpu",
    ) -> None:
        read = [_read(shard_path(folder, number)) for number in range(shards)]
        self._reference, self._garment, self._video = (
            torch.from_numpy(np.concatenate([part[name] for part in read])).to(device)
            for name in ("reference", "garment", "video")
        )
        self._captions: list[list[str]] = [json.loads(str(caption)) for part in read for caption in part["captions"]]
        self._seed, self._batch, self._full_captions = seed, batch, full_captions
        self._chunks, self._chunk_frames = chunks, chunk_frames

    def __len__(self) -> int:
        return len(self._video)

    def draw(self, step: int) -> LatentBatch:
        random = np.random.default_rng((self._seed, step))
        streams = random.integers(len(self), size=self._batch)
        cuts = np.stack([self._cut(random) for _ in streams])
        rows, frames = (torch.from_numpy(index).to(self._video.device) for index in (streams, cuts))
        return LatentBatch(
            reference=self._reference[rows].float(),
            garment=self._garment[rows].float(),
            video=self._video[rows[:, None], frames].float(),
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


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.npz"


def _read(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return dict(arrays)
