"""Muon for weights of any rank, in float32: PyTorch's takes matrices only, and iterates in bfloat16, slow on a CPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
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
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            ahead = [self._ahead(parameter, parameter.grad, group["momentum"]) for parameter in parameters]
            updates = _shared_out([gradient.flatten(1) for gradient in ahead])
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view_as(parameter), alpha=-group["lr"] * 0.2 * max(update.shape) ** 0.5)

    def _ahead(self, parameter: Tensor, gradient: Tensor, decay: float) -> Tensor:
        """The gradient a step of momentum further on (Nesterov)."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - decay)
        return gradient.lerp(momentum, decay)


def _shared_out(matrices: list[Tensor]) -> list[Tensor]:
    """Each orthogonalised. Processes that train together hold the same matrices, so each does its part of them."""
    if not dist.is_initialized() or not matrices:
        return [orthogonalised(matrix) for matrix in matrices]
    rank, world = dist.get_rank(), dist.get_world_size()
    by_size = sorted(range(len(matrices)), key=lambda i: matrices[i].numel())
    mine = set(by_size[rank::world])
    done = [orthogonalised(matrix) if i in mine else torch.zeros_like(matrix) for i, matrix in enumerate(matrices)]
    flat = torch._utils._flatten_dense_tensors(done)
    dist.all_reduce(flat)
    return list(torch._utils._unflatten_dense_tensors(flat, done))
