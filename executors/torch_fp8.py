"""FP8 linears for a network that serves: float8 weights with a scale for each output, activations with one a token.

Attention's and the feed-forward's products are rounded; embeddings, modulation, norms, the prompt's keys and values and
the head stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from student.dit import CausalDiT

FLOAT8 = torch.float8_e4m3fn
_LARGEST = torch.finfo(FLOAT8).max
_FIRST_CAPABILITY = (8, 9)


def fp8_missing(device: torch.device) -> str | None:
    """Why a device has no fast FP8 product, or None if it has one."""
    if device.type != "cuda":
        return "fp8 needs a GPU"
    have = torch.cuda.get_device_capability(device)
    if have < _FIRST_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        return f"fp8 needs compute capability 8.9 at least, and {name} has {have[0]}.{have[1]}"
    return None


class Fp8Linear(nn.Module):
    """A linear with the weights of another, both sides of the product rounded to float8."""

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = _rounded(linear.weight.detach())
        self.register_buffer("weight", weight)  # [out, in]
        self.register_buffer("weight_scale", scale.t())  # [1, out]
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out], of x's type."""
        tokens, scale = _rounded(x.flatten(0, -2))
        out: Tensor = torch._scaled_mm(
            tokens,
            self.weight.t(),
            scale_a=scale,
            scale_b=self.weight_scale,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )
        shaped: Tensor = out.unflatten(0, x.shape[:-1])
        return shaped


@contextmanager
def fp8_linears(network: CausalDiT) -> Iterator[CausalDiT]:
    """The network with FP8 linears, until the context is left."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for parent, name in _places(network):
            linear = getattr(parent, name)
            replaced.append((parent, name, linear))
            setattr(parent, name, Fp8Linear(linear))
        yield network
    finally:
        for parent, name, linear in replaced:
            setattr(parent, name, linear)


def to_fp8(network: CausalDiT) -> CausalDiT:
    """The network with FP8 linears from now on; the weights they were made of are let go."""
    for parent, name in _places(network):
        setattr(parent, name, Fp8Linear(getattr(parent, name)))
    return network


def _places(network: CausalDiT) -> list[tuple[nn.Module, str]]:
    places: list[tuple[nn.Module, str]] = []
    for block in network.layers:
        own = block.self_attn
        projections = ("q", "k", "v") if own.qkv is None else ("qkv",)
        places += [(own, name) for name in (*projections, "o")]
        places += [(block.cross_attn, name) for name in ("q", "o")]
        places += [(block.ffn, name) for name in ("0", "2")]
    return places


def _rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """[M, K] -> float8 [M, K] and the scale [M, 1] float32 of each row."""
    scale = rows.abs().amax(dim=-1, keepdim=True).float().clamp(min=1e-12) / _LARGEST
    return (rows.float() / scale).to(FLOAT8), scale
