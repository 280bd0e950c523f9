"""What is PyTorch's own: layers that compile as a whole, and once for a window that fills."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch._dynamo.testing import CompileCounter

from benchmarks.gpu_backbone import Backbone
from benchmarks.gpu_subject import random_backbone
from contract.arena_layout import ArenaLayout
from contract.cache_plan import plan_chunk
from contract.schedule import DenoisingSchedule
from executors.torch_student import TorchStudent, compile_blocks
from service.engine.arena import HostArena
from student import nano
from student.inference import prepare
from tests.executors.test_contract import latents, pass_call, prefill, run

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


def test_after_the_warm_up_no_call_waits_for_the_compiler(tmp_path: Path) -> None:
    network = prepare(random_backbone(_TINY, torch.device("cpu"), torch.float32), DenoisingSchedule())
    counter = CompileCounter()
    compile_blocks(network, backend=counter)
    with HostArena(ArenaLayout(geometry=_TINY, blocks=2), folder=tmp_path) as arena:
        student = TorchStudent(network, _TINY, probe_cell=0, folder=tmp_path)
        compiled = counter.frame_count
        assert compiled == 3, "one code for each prefill, one for all chunks"
        for block in (0, 1):
            state = prefill(student, arena, _TINY, block)
            for number in range(len(_TINY.attended_lengths()) + 1):
                chunk, latent = plan_chunk(state), latents(_TINY, _TINY.chunk_frames, number)
                run(student, pass_call(arena, chunk.denoise, latent, block=block))
                run(student, pass_call(arena, chunk.commit, latent, block=block))
                state = chunk.after
    assert counter.frame_count == compiled
