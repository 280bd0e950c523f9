"""Noise levels: sampling's warp, what the network sees, which error counts."""

import torch

from contract.schedule import DenoisingSchedule
from training.draws import Draws
from training.noise import NoiseLevels, Target, mix, timestep, to_clean, warp

SCHEDULE = DenoisingSchedule()


def test_the_warp_is_samplings() -> None:
    steps = torch.tensor([step / 1000 for step in SCHEDULE.steps])
    want = torch.tensor([step.sigma for step in SCHEDULE.denoising_passes()])
    torch.testing.assert_close(warp(steps, SCHEDULE.shift), want)


def test_the_network_sees_samplings_timesteps() -> None:
    passes = SCHEDULE.denoising_passes()
    seen = timestep(torch.tensor([step.sigma for step in passes]))
    assert seen.tolist() == [step.timestep for step in passes]


def test_levels_are_drawn_for_every_chunk_by_itself_and_half_of_them_are_above_the_warps_middle() -> None:
    sigma = NoiseLevels(shift=5.0).draw(Draws("levels", batch=2000), 2, SCHEDULE)
    assert sigma.shape == (2000, 2)
    assert abs(torch.corrcoef(sigma.T)[0, 1]) < 0.1
    assert abs((sigma > warp(torch.tensor(0.5), 5.0)).float().mean() - 0.5) < 0.05


def test_the_chosen_share_of_levels_is_one_of_the_students_steps() -> None:
    few = torch.tensor([step.sigma for step in SCHEDULE.denoising_passes()])
    sigma = NoiseLevels(few_step_share=0.5).draw(Draws("levels", batch=2000), 1, SCHEDULE)
    counts = (sigma == few).float().mean(dim=0)
    torch.testing.assert_close(counts, torch.full((4,), 0.125), atol=0.04, rtol=0)


def test_a_clean_estimate_undoes_the_mix_with_the_true_flow() -> None:
    clean, noise = torch.randn(2, 2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([[0.2, 0.9, 1.0], [0.5, 0.625, 0.0]])
    torch.testing.assert_close(to_clean(mix(clean, noise, sigma), noise - clean, sigma), clean, atol=1e-6, rtol=0)


def test_the_clean_targets_error_is_that_of_the_clean_estimate() -> None:
    flow, clean, noise = torch.randn(3, 2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([[0.2, 0.9, 1.0], [0.5, 0.625, 0.1]])
    estimate = to_clean(mix(clean, noise, sigma), flow, sigma)
    want = (estimate - clean).square().mean(dim=(2, 3, 4))
    torch.testing.assert_close(NoiseLevels(target=Target.CLEAN).loss(flow, noise - clean, sigma), want)
    plain = (flow - (noise - clean)).square().mean(dim=(2, 3, 4))
    torch.testing.assert_close(NoiseLevels(target=Target.FLOW).loss(flow, noise - clean, sigma), plain)
