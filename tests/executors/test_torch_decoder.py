"""What is PyTorch's own: a decoder that compiles whole, twice, and never again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch._dynamo.testing import CompileCounter

from contract.arena_layout import ArenaLayout
from executors.base import DecodeCall
from executors.torch_decoder import TorchDecoder, compiled
from service.engine.arena import HostArena
from student import nano
from student.vae import StreamingVae, decoder_cache_shapes
from tests.executors.test_contract import latents

_CONFIG = replace(nano.VAE, base_dim=4, decoder_base_dim=4)
_GEOMETRY = replace(
    nano.GEOMETRY,
    latent_height=4,
    latent_width=2,
    decoder_cache_shapes=decoder_cache_shapes(_CONFIG, latent_height=4, latent_width=2),
)


def test_a_stream_compiles_its_first_latent_and_its_next_and_nothing_after(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae, counter = StreamingVae(_CONFIG.build()).eval(), CompileCounter()
    with HostArena(ArenaLayout(geometry=_GEOMETRY, blocks=2), folder=tmp_path) as arena:
        plain = TorchDecoder(vae, _GEOMETRY, probe_cell=0, folder=tmp_path)
        decoder = TorchDecoder(vae, _GEOMETRY, probe_cell=1, folder=tmp_path)
        decoder._decode_latent = compiled(vae, backend=counter)
        decoder._warm_up()
        assert counter.frame_count == 2
        for block in (0, 1):
            call = DecodeCall(
                arena=arena.name, block=block, latent=latents(_GEOMETRY, 3, block), read_bank=None, write_bank=0
            )
            for _ in range(3):
                assert np.array_equal(decoder.run(call), plain.run(call))
                call = replace(call, read_bank=call.write_bank, write_bank=1 - call.write_bank)
    assert counter.frame_count == 2
