"""The drawn world as pixels on disk: drawn once by many processes, read by the codec's training and by the latents'.

Where drawing is slower than learning, as beside a GPU, a run begins with this; elsewhere every stage draws for itself.
A shard is a folder, a function of (seed, shard number): arrays that are read where they lie, and captions.
"""

from __future__ import annotations

import json
import shutil
import time
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.world import Sample, Split, brief_caption, draw_sample, dynamic_caption

STREAMS_PER_SHARD = 64
_PICTURES = ("reference", "product", "clip")
_CAPTIONS = "captions.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShape:
    """What is drawn for each stream: `latents` latent frames of pictures of `size` (rows, columns)."""

    latents: int
    size: tuple[int, int]

    @property
    def frames(self) -> int:
        return 1 + 4 * (self.latents - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """n streams: reference and product [n, H, W, 3], clip [n, T, H, W, 3], all uint8.

    Attributes:
        captions: of each stream the static one, and the dynamic one with and without the phase.
    """

    reference: NDArray[np.uint8]
    product: NDArray[np.uint8]
    clip: NDArray[np.uint8]
    captions: Sequence[Sequence[str]]


def draw_streams(shard: int, first: int, count: int, *, seed: int, shape: StreamShape) -> Streams:
    """Streams `first` to `first + count` of a shard."""
    seeds = [int(np.random.default_rng((seed, shard, first + i)).integers(2**62)) for i in range(count)]
    samples = [draw_sample(each, Split.TRAIN, frames=shape.frames, size=shape.size) for each in seeds]
    return Streams(
        reference=np.stack([sample.reference for sample in samples]),
        product=np.stack([sample.product for sample in samples]),
        clip=np.stack([sample.clip for sample in samples]),
        captions=[_captions(sample) for sample in samples],
    )


def write_clips(folder: Path, shards: Sequence[int], *, seed: int, shape: StreamShape, workers: int) -> None:
    """Draw the shards that are missing, each in a process of its own, and say how it goes."""
    missing = [shard for shard in shards if not _shard(folder, shard).exists()]
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_write_shard, folder, shard, seed=seed, shape=shape) for shard in missing]
        for done, drawn in enumerate(as_completed(waiting), 1):
            spent = time.monotonic() - began
            left = spent / done * (len(missing) - done)
            print(f"{drawn.result()} {done}/{len(missing)}, {spent:.0f} s gone, {left:.0f} s left", flush=True)


def _write_shard(folder: Path, shard: int, *, seed: int, shape: StreamShape) -> Path:
    """Whole or not at all."""
    drawn = draw_streams(shard, 0, STREAMS_PER_SHARD, seed=seed, shape=shape)
    path = _shard(folder, shard)
    partial = path.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in _PICTURES:
        np.save(partial / f"{name}.npy", getattr(drawn, name))
    (partial / _CAPTIONS).write_text(json.dumps(drawn.captions))
    partial.rename(path)
    return path


class Clips:
    """The shards of a folder, read where they lie.

    Raises:
        FileNotFoundError: if the folder lacks one of the shards.
    """

    def __init__(self, folder: Path, shards: Sequence[int]) -> None:
        self._shards = {shard: _read(_shard(folder, shard)) for shard in shards}
        self._numbers = list(self._shards)
        self._ends = list(accumulate(len(streams.clip) for streams in self._shards.values()))

    def __len__(self) -> int:
        return self._ends[-1]

    def __contains__(self, shard: int) -> bool:
        return shard in self._shards

    def streams(self, shard: int, first: int, count: int) -> Streams:
        """As `draw_streams` gives them."""
        return _rows(self._shards[shard], slice(first, first + count))

    def stream(self, number: int) -> Streams:
        """One of all, counted over the shards."""
        place = bisect_right(self._ends, number)
        start = self._ends[place - 1] if place else 0
        return _rows(self._shards[self._numbers[place]], slice(number - start, number - start + 1))


def _captions(sample: Sample) -> list[str]:
    dynamic = [dynamic_caption(sample.person, sample.motion, told) for told in (sample.motion.phase(0), None)]
    return [brief_caption(sample.person, sample.garment), *dynamic]


def _read(path: Path) -> Streams:
    # Copy on write: PyTorch warns of memory that is read only.
    pictures = {name: np.load(path / f"{name}.npy", mmap_mode="c") for name in _PICTURES}
    return Streams(**pictures, captions=json.loads((path / _CAPTIONS).read_text()))


def _rows(streams: Streams, rows: slice) -> Streams:
    pictures = {name: getattr(streams, name)[rows] for name in _PICTURES}
    return Streams(**pictures, captions=streams.captions[rows])


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}"
