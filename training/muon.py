"""Muon for weights of any rank, in float32: PyTorch's takes matrices only, and iterates in bfloat16, slow on a CPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # K. Jordan et al., "Muon", 2024: the quintic with the steepest start
_ITERATIONS = 5
_EPS = 1e-7


def orthogonalised(gradient: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix to [rows, columns], roughly: singular values end within 0.7 .. 1.2."""
    a, b, c = _COEFFICIENTS
    tall = gradient.shape[0] > gradient.shape[1]
    x = gradient.T if tall else gradient
    x = x / (x.norm() + _EPS)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(Optimizer):
    """Momentum whose update is orthogonalised; a convolution counts as the matrix [outputs, inputs x taps].

    The update is scaled to the root mean square that AdamW's has (0.2 sqrt(max(rows, columns))), so that both take
    learning rates of one size.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])  # Nesterov
        matrix = orthogonalised(ahead.flatten(1))
        scale = 0.2 * max(matrix.shape) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(matrix.view_as(parameter), alpha=-group["lr"] * scale)
