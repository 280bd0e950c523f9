"""The moving average of a module's parameters, which is a stage's result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.optimiser import like, whole


class Ema:
    """The average follows `module` with `decay`."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._decay = decay
        self._average = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step; early on the average is short, so that it forgets the start."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._average.values()), [p.detach() for p in self._module.parameters()], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module has the averaged weights."""
        held = [parameter.detach().clone() for parameter in self._module.parameters()]
        self._put(list(self._average.values()))
        try:
            yield
        finally:
            self._put(held)

    def state(self) -> dict[str, Tensor]:
        """Whole tensors on the CPU, by parameter name."""
        return {name: whole(value).cpu() for name, value in self._average.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        parameters = dict(self._module.named_parameters())
        self._average = {name: like(state[name], parameter).clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._module.parameters(), values, strict=True):
            parameter.copy_(value)
