"""Attention is recorded without a change to what the network computes."""

from __future__ import annotations

import numpy as np
import torch

from contract.cache_plan import Policy
from evaluation.attention import next_chunk_attention
from evaluation.cases import Case
from evaluation.commands.attention import BEFORE, AttentionTask
from evaluation.pool import Bench
from student.rollout import LatentStream, philox_noise
from student.student import Student


@torch.no_grad()
def stream_of(student: Student) -> LatentStream:
    geometry = student.geometry
    stream = LatentStream(student.network, geometry, noise=philox_noise(1))
    draw = torch.Generator().manual_seed(1)
    condition = torch.randn(1, *geometry.latent_shape, generator=draw)
    stream.start(condition, -condition, torch.randn(1, geometry.text_tokens, geometry.text_dim, generator=draw))
    stream.chunk()
    stream.chunk()
    return stream


@torch.no_grad()
def test_the_recorded_chunk_is_the_one_sampled_otherwise(student: Student) -> None:
    recorded, plain = stream_of(student), stream_of(student)
    clean, shares, frames = next_chunk_attention(recorded, student.network, student.geometry.tokens_per_frame)
    assert torch.equal(clean, plain.chunk())
    assert frames == {"reference": 1, "garment": 1, "sink": 3, "recent": 3, "current": 3}
    assert np.allclose(sum(shares.values()), 1, atol=1e-5)
    assert all(len(share) == student.geometry.num_layers for share in shares.values())
    assert "attend" not in vars(student.network.blocks[0].self_attn)


@torch.no_grad()
def test_the_shares_follow_the_queries(student: Student) -> None:
    """Keys of zero length draw every query alike: each latent frame gets the same share."""
    layer = student.network.blocks[0].self_attn
    weight = layer.norm_k.weight.clone()
    try:
        layer.norm_k.weight.zero_()
        _, shares, frames = next_chunk_attention(stream_of(student), student.network, student.geometry.tokens_per_frame)
    finally:
        layer.norm_k.weight.copy_(weight)
    every = sum(frames.values())
    for role, share in shares.items():
        assert np.isclose(share[0], frames[role] / every, atol=1e-5)


def test_after_a_withdrawal_nothing_old_is_looked_at(bench: Bench, small_case: Case) -> None:
    found = AttentionTask(chunks=1)(bench, small_case)
    assert set(found) == {BEFORE, *(f"after {policy.value}" for policy in Policy)}
    assert found[BEFORE][1]["sink"] == 3
    _, frames = found[f"after {Policy.REFRESH_WITHDRAW_DISENTANGLE.value}"]
    assert frames == {"reference": 1, "garment": 1, "current": 3}
