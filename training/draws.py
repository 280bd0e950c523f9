"""Randomness as a function of (seed, stage, step, sample): nothing to save, and the same on one process or many.

Numbers are drawn where they are used, so that a GPU and a CPU draw different ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One process's part of every global batch."""

    rank: int = 0
    world: int = 1

    def rows(self, batch: int) -> slice:
        """Its rows of a global batch.

        Raises:
            ValueError: if the batch does not split evenly.
        """
        if batch % self.world:
            raise ValueError(f"a batch of {batch} does not split over {self.world} processes")
        size = batch // self.world
        return slice(self.rank * size, (self.rank + 1) * size)


WHOLE = Share()


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from any key."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class Draws:
    """The random numbers of one training step. Every sample has a stream of its own, and the batch has one in common.

    Args:
        key: names the step, for instance (seed, "forcing", step).
        batch: global batch; `share` says which of its samples are drawn here.
    """

    def __init__(self, *key: int | str, batch: int, share: Share = WHOLE, device: torch.device | str = "cpu") -> None:
        rows = share.rows(batch)
        self.device = torch.device(device)
        self._streams = [_generator(*key, sample, device=self.device) for sample in range(rows.start, rows.stop)]
        self._common = _generator(*key, "common")

    def normal(self, *shape: int) -> Tensor:
        """[B, *shape] standard normal."""
        return self._each(lambda stream: torch.randn(shape, generator=stream, device=self.device))

    def uniform(self, *shape: int) -> Tensor:
        """[B, *shape] in [0, 1)."""
        return self._each(lambda stream: torch.rand(shape, generator=stream, device=self.device))

    def whole(self, high: int, *shape: int) -> Tensor:
        """[B, *shape] whole numbers in [0, high)."""
        return self._each(lambda stream: torch.randint(high, shape, generator=stream, device=self.device))

    def common(self, high: int) -> int:
        """One whole number in [0, high), the same for every sample and process."""
        return int(torch.randint(high, (), generator=self._common))

    def _each(self, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        return torch.stack([draw(stream) for stream in self._streams])


def _generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed_of(*key))
