"""Where a process trains: device, share of every batch, and what is done to a network before it is trained there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

from student.dit import CausalDiT
from student.text import TextEncoder
from training.draws import WHOLE, Share
from training.presets import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`mesh`: the processes over which weights are sharded (FSDP2); None: this process holds them whole."""

    device: torch.device
    share: Share = WHOLE
    mesh: DeviceMesh | None = None

    def ready(self, network: CausalDiT, preset: Preset) -> CausalDiT:
        """A backbone ready for training: recomputed and sharded as the preset and the place want."""
        for block in network.blocks:
            if preset.checkpointed:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if self.mesh:
            _shard(list(network.blocks), network, self.mesh, bfloat16=preset.bfloat16)
        elif preset.bfloat16:
            raise ValueError(f"the preset {preset.name} trains in bfloat16 over sharded float32 weights: use torchrun")
        return network

    def ready_text(self, encoder: TextEncoder) -> TextEncoder:
        """A text encoder, sharded where the place wants it."""
        if self.mesh:
            _shard(list(encoder.encoder.encoder.block), encoder, self.mesh, bfloat16=False)
        return encoder


def _shard(blocks: list[nn.Module], whole: nn.Module, mesh: DeviceMesh, *, bfloat16: bool) -> None:
    # Inputs keep their types: latents, timesteps and rotations are float32 whatever the weights are.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bfloat16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(whole, mesh=mesh, mp_policy=policy)
