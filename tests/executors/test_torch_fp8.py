"""FP8 linears: close to what they replace, and gone when they should be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from contract.schedule import DenoisingSchedule
from executors.torch_fp8 import Fp8Linear, fp8_linears, fp8_missing, to_fp8
from student import nano
from student.dit import CausalDiT, DiTConfig
from student.inference import prepare

_TINY = replace(nano.GEOMETRY, dim=64, ffn_dim=64, num_heads=2, num_layers=2, freq_dim=16, text_dim=16)


def test_an_fp8_linear_is_within_a_few_percent_of_the_linear() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(256, 128, dtype=torch.bfloat16)
    x = torch.randn(3, 5, 256, dtype=torch.bfloat16)
    x[0, 0] *= 1000  # a token's scale is its own
    with torch.no_grad():
        want, got = linear(x), Fp8Linear(linear)(x)
    assert got.shape == want.shape
    assert got.dtype == torch.bfloat16
    error = (got - want).float().norm(dim=-1) / want.float().norm(dim=-1)
    assert error.max() < 0.06


@pytest.mark.parametrize("fused", [False, True])
def test_attention_and_feed_forward_are_replaced_and_come_back(fused: bool) -> None:
    network = CausalDiT(DiTConfig.of(_TINY)).eval()
    if fused:
        prepare(network, DenoisingSchedule())
    before = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    with fp8_linears(network):
        replaced = {name for name, module in network.named_modules() if isinstance(module, Fp8Linear)}
        projections = ["qkv", "o"] if fused else ["q", "k", "v", "o"]
        places = [*(f"self_attn.{name}" for name in projections), "cross_attn.q", "cross_attn.o", "ffn.0", "ffn.2"]
        assert replaced == {f"blocks.{layer}.{place}" for layer in range(2) for place in places}
    assert {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)} == before
    assert any(isinstance(module, Fp8Linear) for module in to_fp8(network).modules())


def test_a_cpu_has_no_fast_fp8() -> None:
    assert fp8_missing(torch.device("cpu")) == "fp8 needs a GPU"
