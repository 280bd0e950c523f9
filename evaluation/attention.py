"""How much attention a chunk's queries pay to each latent frame; what they compute does not change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.cache_plan import plan_chunk
from student.dit import Attention, CausalDiT
from student.rollout import LatentStream

CURRENT = "current"
"""The role of the chunk being denoised."""


class _Recorder:
    """Stands in for one layer's `attend`: adds up where the queries look, then lets the layer attend as ever."""

    def __init__(self, layer: Attention, tokens_per_frame: int) -> None:
        self._layer, self._tokens = layer, tokens_per_frame
        self.mass: list[NDArray[np.float64]] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """q, k, v [B, L, H, D]; `mask` is None in a rollout."""
        assert mask is None, "a rollout attends everything"
        logits = torch.einsum("bqhd,bkhd->bhqk", q.float(), k.float()) / q.shape[-1] ** 0.5
        each_key = logits.softmax(dim=-1).mean(dim=(0, 1, 2))
        self.mass.append(each_key.view(-1, self._tokens).sum(dim=1).double().numpy())
        return Attention.attend(self._layer, q, k, v, mask)


@contextmanager
def recorded(network: CausalDiT, tokens_per_frame: int) -> Iterator[list[_Recorder]]:
    """Record every layer's self-attention within the block."""
    attentions = (module for name, module in network.named_modules() if name.endswith(".self_attn"))
    layers = [module for module in attentions if isinstance(module, Attention)]
    recorders = [_Recorder(layer, tokens_per_frame) for layer in layers]
    try:
        for layer, recorder in zip(layers, recorders, strict=True):
            object.__setattr__(layer, "attend", recorder)  # past nn.Module's book-keeping
        yield recorders
    finally:
        for layer in layers:
            object.__delattr__(layer, "attend")


def next_chunk_attention(
    stream: LatentStream, network: CausalDiT, tokens_per_frame: int
) -> tuple[Tensor, dict[str, NDArray[np.float64]], dict[str, int]]:
    """Sample the next chunk and look where its queries look.

    Returns:
        The chunk's latents [B, F, C, h, w]; by role the share of attention, [layers], averaged over the denoising
        passes, heads and queries, which adds up to 1 over the roles; and by role the number of latent frames.
    """
    plan = plan_chunk(stream.state)
    attended = plan.denoise.attended
    roles = [slot.role.value for slot in plan.after.slots[:attended]] + [CURRENT] * len(plan.denoise.positions)
    with recorded(network, tokens_per_frame) as recorders:
        clean = stream.chunk()
    # The clean pass comes last, and is no denoising pass.
    mass = np.stack([np.mean(recorder.mass[:-1], axis=0) for recorder in recorders])  # [layers, frames]
    frames = {role: roles.count(role) for role in dict.fromkeys(roles)}
    shares = {role: mass[:, [r == role for r in roles]].sum(axis=1) for role in frames}
    return clean, shares, frames
