"""Slots of raw keys and values in memory, written as the cache plan says. The reference's counterpart of the arena."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contract.cache_plan import PassPlan
from contract.geometry import StudentGeometry


class KvCache:
    """W slots of N tokens for each layer: keys and values [B, W*N, H, D]."""

    def __init__(self, geometry: StudentGeometry, *, batch: int, dtype: torch.dtype, device: torch.device) -> None:
        self._tokens = geometry.tokens_per_frame
        shape = (batch, geometry.window_frames * self._tokens, geometry.num_heads, geometry.head_dim)
        self._k = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(geometry.num_layers)]
        self._v = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(geometry.num_layers)]

    def move(self, plan: PassPlan) -> None:
        """Make the plan's slot copies; making them again changes nothing."""
        for source, destination in plan.moves:
            for tensor in (*self._k, *self._v):
                tensor[:, self._span(destination, 1)] = tensor[:, self._span(source, 1)]

    def attended(self, plan: PassPlan) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of slots [0, S) of each layer: views, or copies where autograd may keep them."""
        return self.read(0, plan.attended)

    def read(self, first_slot: int, count: int) -> tuple[list[Tensor], list[Tensor]]:
        span = self._span(first_slot, count)
        if torch.is_grad_enabled():
            return [k[:, span].clone() for k in self._k], [v[:, span].clone() for v in self._v]
        return [k[:, span] for k in self._k], [v[:, span] for v in self._v]

    def write(self, first_slot: int, new_k: Sequence[Tensor], new_v: Sequence[Tensor]) -> None:
        """Put F frames' keys and values [B, F*N, H, D] of each layer at `first_slot` and behind it."""
        span = self._span(first_slot, new_k[0].shape[1] // self._tokens)
        for tensors, news in ((self._k, new_k), (self._v, new_v)):
            for tensor, new in zip(tensors, news, strict=True):
                tensor[:, span] = new.detach()

    def _span(self, first_slot: int, count: int) -> slice:
        return slice(first_slot * self._tokens, (first_slot + count) * self._tokens)
