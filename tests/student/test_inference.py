"""What makes a trained network quicker changes nothing of what it computes."""

import copy

import pytest
import torch

from contract.cache_plan import plan_chunk
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule
from student.dit import CausalDiT
from student.inference import prepare
from student.rollout import LatentStream, philox_noise

SCHEDULE = DenoisingSchedule()
ORDER_OF_SUMS = 1e-5


@pytest.fixture
def prepared(network: CausalDiT) -> CausalDiT:
    return prepare(copy.deepcopy(network), SCHEDULE)


def _conditions(geometry: StudentGeometry) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    latents = torch.randn(2, 1, *geometry.latent_shape, generator=draw)
    return latents[0], latents[1], torch.randn(1, geometry.text_tokens, geometry.text_dim, generator=draw)


def _flow(
    network: CausalDiT, geometry: StudentGeometry, timestep: list[float], *, prompt: bool = False
) -> torch.Tensor:
    draw = torch.Generator().manual_seed(6)
    latent = torch.randn(1, len(timestep), *geometry.latent_shape, generator=draw)
    _, _, text = _conditions(geometry)
    position = torch.arange(len(timestep))[None]
    with torch.no_grad():
        return network.attend_all(latent, torch.tensor([timestep]), network.prompt(text) if prompt else text, position)


def test_a_prompt_computed_once_gives_the_same_flow_to_the_last_bit(
    network: CausalDiT, geometry: StudentGeometry
) -> None:
    timestep = [0.0, 500.0, 937.0]
    assert torch.equal(_flow(network, geometry, timestep, prompt=True), _flow(network, geometry, timestep))


def test_tables_hold_what_the_embeddings_give_at_every_timestep_of_the_schedule(
    network: CausalDiT, geometry: StudentGeometry
) -> None:
    quick = prepare(copy.deepcopy(network), SCHEDULE, fused=False)
    for step in SCHEDULE.passes():
        timestep = [0.0, float(step.timestep)]
        torch.testing.assert_close(
            _flow(quick, geometry, timestep), _flow(network, geometry, timestep), atol=ORDER_OF_SUMS, rtol=0
        )


def test_a_timestep_outside_of_the_table_shows_as_nan(prepared: CausalDiT, geometry: StudentGeometry) -> None:
    assert _flow(prepared, geometry, [0.0, 936.0]).isnan().all()
    assert not _flow(prepared, geometry, [0.0, 937.0]).isnan().any()


def test_one_product_gives_queries_keys_and_values(network: CausalDiT, geometry: StudentGeometry) -> None:
    quick = prepare(copy.deepcopy(network), SCHEDULE, tables=False)
    assert "blocks.0.self_attn.qkv.weight" in quick.state_dict()
    assert "blocks.0.self_attn.q.weight" not in quick.state_dict()
    assert sum(p.numel() for p in quick.parameters()) == sum(p.numel() for p in network.parameters())
    timestep = [0.0, 500.0, 937.0]
    torch.testing.assert_close(
        _flow(quick, geometry, timestep), _flow(network, geometry, timestep), atol=ORDER_OF_SUMS, rtol=0
    )


def test_preparing_twice_is_preparing_once(prepared: CausalDiT, geometry: StudentGeometry) -> None:
    once = _flow(prepared, geometry, [0.0, 625.0])
    assert torch.equal(_flow(prepare(prepared, SCHEDULE), geometry, [0.0, 625.0]), once)


def test_a_prepared_network_rolls_out_the_same_stream(
    network: CausalDiT, prepared: CausalDiT, geometry: StudentGeometry
) -> None:
    chunks = []
    for student in (network, prepared):
        stream = LatentStream(student, geometry, noise=philox_noise(3))
        with torch.no_grad():
            stream.start(*_conditions(geometry))
            chunks.append(torch.cat([stream.chunk() for _ in range(4)]))
    torch.testing.assert_close(chunks[1], chunks[0], atol=1e-4, rtol=0)


def test_gradients_of_a_denoising_pass_reach_the_prompts_keys_and_values(
    network: CausalDiT, geometry: StudentGeometry
) -> None:
    student = copy.deepcopy(network).requires_grad_(True)
    stream = LatentStream(student, geometry, noise=philox_noise(3))
    stream.start(*_conditions(geometry))
    _, flow = stream.denoise(plan_chunk(stream.state), SCHEDULE.denoising_passes()[0], None)
    flow.sum().backward()
    assert student.blocks[0].cross_attn.k.weight.grad is not None
    assert student.text_embedding[0].weight.grad is not None
