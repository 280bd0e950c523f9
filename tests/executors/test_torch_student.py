"""What is PyTorch's own: layers that compile as a whole, and once for a window that fills."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch._dynamo.testing import CompileCounter

from benchmarks.gpu_backbone import Backbone
from benchmarks.gpu_subject import random_backbone
from contract.schedule import DenoisingSchedule
from executors.torch_student import compile_blocks
from student import nano
from student.inference import prepare

_TINY = replace(
    nano.GEOMETRY, dim=32, ffn_dim=32, num_heads=2, num_layers=3, freq_dim=16, text_dim=16, text_tokens=8,
    latent_channels=4, latent_height=4, latent_width=2,
)  # fmt: skip


def test_layers_share_their_compiled_code_and_a_window_that_fills_compiles_nothing_new() -> None:
    network = prepare(random_backbone(_TINY, torch.device("cpu"), torch.float32), DenoisingSchedule())
    counter = CompileCounter()
    compile_blocks(network, backend=counter)
    backbone = Backbone(network, _TINY, DenoisingSchedule(), batch=1)
    with torch.no_grad():
        backbone.prefill()
        assert counter.frame_count == 1, "three layers, one code"
        empty, *filling = _TINY.attended_lengths()
        backbone.denoise(empty)
        compiled = counter.frame_count
        for cached in filling:
            backbone.denoise(cached)
            backbone.clean_pass(cached)
    assert counter.frame_count == compiled
