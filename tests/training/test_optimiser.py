"""The optimiser: rates over time, what it remembers, clipping; the moving average."""

import pytest
import torch
from torch import nn

from training.ema import Ema
from training.optimiser import Method, Optimiser, OptimiserConfig

CONFIG = OptimiserConfig(lr=1e-2, betas=(0.9, 0.999), clip=1.0)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Linear(3, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 8)])

    def loss(self, seed: int) -> torch.Tensor:
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        return self.blocks[0](self.embedding(x)).square().mean()  # type: ignore[no-any-return]


def _train(net: Net, optimiser: Optimiser, steps: range) -> None:
    for step in steps:
        net.loss(step).backward()
        optimiser.step(step)


def test_the_rate_warms_up_drops_and_falls_like_a_cosine() -> None:
    warm = OptimiserConfig(lr=1.0, betas=(0, 0.9), clip=1, warmup=4, drops=((6, 0.5),))
    assert [warm.lr_at(step, 10) for step in (0, 3, 5, 6)] == [0.25, 1.0, 1.0, 0.5]
    cosine = OptimiserConfig(lr=1.0, betas=(0, 0.9), clip=1, warmup=2, cosine=True, last_lr_share=0.1)
    assert cosine.lr_at(2, 12) == 1.0
    assert cosine.lr_at(7, 12) == pytest.approx(0.55)
    assert cosine.lr_at(12, 12) == pytest.approx(0.1)


@pytest.mark.parametrize("method", Method)
def test_what_is_remembered_continues_as_if_nothing_had_happened(method: Method) -> None:
    config = OptimiserConfig(method=method, lr=1e-2, betas=(0.9, 0.999), clip=1.0, warmup=3)
    straight = Net()
    _train(straight, Optimiser(straight.named_parameters(), config, steps=6), range(6))
    first = Net()
    optimiser = Optimiser(first.named_parameters(), config, steps=6)
    _train(first, optimiser, range(3))
    second = Net()
    second.load_state_dict(first.state_dict())
    resumed = Optimiser(second.named_parameters(), config, steps=6)
    resumed.load(optimiser.state())
    _train(second, resumed, range(3, 6))
    for want, got in zip(straight.parameters(), second.parameters(), strict=True):
        assert torch.equal(got, want)


def test_state_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown parameters: elsewhere"):
        Optimiser(Net().named_parameters(), CONFIG, steps=1).load({"elsewhere": {}})


def test_a_gradient_that_is_no_number_stops_the_training() -> None:
    net = Net()
    optimiser = Optimiser(net.named_parameters(), CONFIG, steps=1)
    (net.loss(0) * torch.nan).backward()
    with pytest.raises(RuntimeError, match="non-finite"):
        optimiser.step(0)


def test_gradients_are_clipped_and_their_norm_is_told() -> None:
    net = Net()
    before = [parameter.detach().clone() for parameter in net.parameters()]
    plain = OptimiserConfig(lr=1.0, betas=(0.0, 0.0), clip=1e-12, weight_decay=0.0)
    optimiser = Optimiser(net.named_parameters(), plain, steps=1)
    net.loss(0).backward()
    assert optimiser.step(0)["grad_norm"] > 1e-3
    moved = max((new - old).abs().max() for old, new in zip(before, net.parameters(), strict=True))
    assert moved < 1e-3  # AdamW's step is of size lr, but for its eps of 1e-8, far above the clipped gradient


def test_muon_takes_the_blocks_matrices_and_adamw_the_rest() -> None:
    net = Net()
    config = OptimiserConfig(method=Method.MUON, lr=1e-2, betas=(0.9, 0.999), clip=1.0)
    optimiser = Optimiser(net.named_parameters(), config, steps=1)
    net.loss(0).backward()
    optimiser.step(0)
    by_muon = {name for name, state in optimiser.state().items() if "momentum" in state}
    assert by_muon == {"blocks.0.weight"}


def test_the_average_follows_forgets_its_start_and_can_stand_in() -> None:
    net = Net()
    ema = Ema(net, 0.9)
    with torch.no_grad():
        net.embedding.bias.fill_(1.0)
        ema.update(0)  # a decay of 1/10 at first
        first = net.embedding.bias.clone()
        with ema.applied():
            averaged = net.embedding.bias.clone()
    start = Net().embedding.bias
    torch.testing.assert_close(averaged, 0.1 * start + 0.9 * torch.ones(8))
    assert torch.equal(net.embedding.bias, first)
    for step in range(1, 2000):
        ema.update(step)
    torch.testing.assert_close(ema.state()["embedding.bias"], torch.ones(8))
