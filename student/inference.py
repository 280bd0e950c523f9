"""A trained network made quicker for serving; what it computes stays the same, up to the order of sums.

The network can be trained no more: its state dict has other names, and time embeddings are computed for the schedule's
timesteps only. Checkpoints are loaded before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contract.schedule import DenoisingSchedule
from student.dit import Attention, CausalDiT
from student.time_table import TimeTable


def prepare(network: CausalDiT, schedule: DenoisingSchedule, *, tables: bool = True, fused: bool = True) -> CausalDiT:
    """Change `network` in place, on whatever device it is, and return it.

    Args:
        tables: look the embedded time up for the schedule's timesteps; at any other the flow is NaN.
        fused: one product for queries, keys and values of self-attention.
    """
    if tables:
        network.time_table = time_table(network, schedule)
    if fused:
        for block in network.layers:
            fuse(block.self_attn)
    return network


@torch.no_grad()
def time_table(network: CausalDiT, schedule: DenoisingSchedule) -> TimeTable:
    """The network's embedded time at the schedule's timesteps, condition frames' 0 included."""
    timesteps = sorted({step.timestep for step in schedule.passes()})
    at = torch.tensor(timesteps, dtype=torch.float32, device=next(network.time_embedding.parameters()).device)
    return TimeTable(at, [vectors[0] for vectors in network.embedded_time(at[None])])


@torch.no_grad()
def fuse(attention: Attention) -> None:
    """Queries', keys' and values' linears as one, `qkv`; a fused one stays as it is."""
    if attention.qkv is not None:
        return
    parts = (attention.q, attention.k, attention.v)
    attention.qkv = nn.utils.skip_init(
        nn.Linear, parts[0].in_features, sum(part.out_features for part in parts), device="meta"
    )
    attention.qkv.weight = _joined([part.weight for part in parts])
    attention.qkv.bias = _joined([part.bias for part in parts])
    del attention.q, attention.k, attention.v


def _joined(parts: list[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.cat(parts), requires_grad=parts[0].requires_grad)
