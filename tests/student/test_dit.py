"""The backbone: cached and joint attention agree, frames carry their own timesteps, sizes are the paper's."""

import torch

from contract.geometry import WAN_5B, StudentGeometry
from student.dit import CausalDiT, DiTConfig


def _inputs(geometry: StudentGeometry, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    latent = torch.randn(2, frames, *geometry.latent_shape)
    timestep = torch.tensor([[0.0, 937.0, 625.0, 1000.0]])[:, :frames].repeat(2, 1)
    text = torch.randn(2, geometry.text_tokens, geometry.text_dim)
    return latent, timestep, text, torch.arange(frames).repeat(2, 1)


def test_cached_frames_in_any_order_equal_the_same_frames_under_a_causal_mask(
    network: CausalDiT, geometry: StudentGeometry
) -> None:
    latent, timestep, text, position = _inputs(geometry, 4)
    N = geometry.tokens_per_frame
    block = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    mask = block.repeat_interleave(N, 0).repeat_interleave(N, 1)
    want = network.attend_all(latent, timestep, text, position, mask)[:, 3:]
    empty = [latent.new_zeros(2, 0, geometry.num_heads, geometry.head_dim)] * geometry.num_layers
    _, k, v = network(latent[:, :3], timestep[:, :3], text, position[:, :3], position[:, :0], empty, empty)
    order = [2, 0, 1]
    shuffled_k, shuffled_v = ([t.unflatten(1, (3, N))[:, order].flatten(1, 2) for t in tensors] for tensors in (k, v))
    past = position[:, :3][:, order]
    got, _, _ = network(latent[:, 3:], timestep[:, 3:], text, position[:, 3:], past, shuffled_k, shuffled_v)
    torch.testing.assert_close(got, want, atol=2e-6, rtol=0)


def test_a_frames_timestep_is_its_own(network: CausalDiT, geometry: StudentGeometry) -> None:
    latent, timestep, text, position = _inputs(geometry, 4)
    alone = torch.eye(4, dtype=torch.bool)
    mask = alone.repeat_interleave(geometry.tokens_per_frame, 0).repeat_interleave(geometry.tokens_per_frame, 1)
    before = network.attend_all(latent, timestep, text, position, mask)
    timestep[:, 1] = 250.0
    after = network.attend_all(latent, timestep, text, position, mask)
    assert torch.equal(before[:, [0, 2, 3]], after[:, [0, 2, 3]])
    assert not torch.equal(before[:, 1], after[:, 1])


def test_the_5b_backbone_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = CausalDiT(DiTConfig.of(WAN_5B))
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_999_787_712


def test_bfloat16_weights_take_and_give_float32_latents(network: CausalDiT, geometry: StudentGeometry) -> None:
    latent, timestep, text, position = _inputs(geometry, 4)
    want = network.attend_all(latent, timestep, text, position)
    half = CausalDiT(network.config).to(torch.bfloat16)
    half.load_state_dict(network.state_dict())
    with torch.no_grad():
        got = half.attend_all(latent, timestep, text, position)
    assert got.dtype == torch.float32
    assert (got - want).abs().max() < 0.05 * want.abs().max()
