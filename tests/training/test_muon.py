"""Muon: orthogonal updates of the size that AdamW's have."""

import torch
from torch import nn

from training.muon import Muon, orthogonalised


def test_an_orthogonalised_matrix_has_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((8, 40), (40, 8), (16, 16)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(2, *shape)))
        assert 0.5 < values.min() <= values.max() < 1.3


def test_an_update_has_the_size_of_adamws_whatever_the_gradients_and_the_shape() -> None:
    torch.manual_seed(0)
    for shape in ((32, 64), (24, 12, 3, 3, 3)):
        parameter = nn.Parameter(torch.zeros(shape))
        parameter.grad = 1e3 * torch.randn(shape)
        Muon([parameter], lr=0.01).step()
        root_mean_square = parameter.detach().square().mean().sqrt().item()
        assert 0.1 * 0.01 < root_mean_square < 0.3 * 0.01


def test_a_parameter_without_gradient_stays_as_it_is() -> None:
    still, moved = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    moved.grad = torch.eye(4)
    Muon([still, moved], lr=0.1).step()
    assert torch.equal(still, torch.ones(4, 4))
    assert not torch.equal(moved, torch.ones(4, 4))


def test_it_finds_the_minimum_of_a_quadratic() -> None:
    torch.manual_seed(0)
    wanted = torch.randn(6, 10)
    parameter = nn.Parameter(torch.zeros(6, 10))
    optimiser = Muon([parameter], lr=0.2)
    for step in range(200):
        optimiser.param_groups[0]["lr"] = 0.2 * (1 - step / 200)
        optimiser.zero_grad()
        (parameter - wanted).square().sum().backward()
        optimiser.step()
    assert (parameter - wanted).abs().max() < 0.2
