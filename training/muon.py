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


def orthogonalised(gradients: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices to [n, rows, columns], roughly: singular values end within 0.7 .. 1.2."""
    a, b, c = _COEFFICIENTS
    tall = gradients.shape[1] > gradients.shape[2]
    x = gradients.mT if tall else gradients
    x = x / (x.norm(dim=(1, 2), keepdim=True) + _EPS)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


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
        return _each_orthogonalised(matrices)
    rank, world = dist.get_rank(), dist.get_world_size()
    by_size = sorted(range(len(matrices)), key=lambda i: matrices[i].numel())
    mine = by_size[rank::world]
    done = [torch.zeros_like(matrix) for matrix in matrices]
    for i, matrix in zip(mine, _each_orthogonalised([matrices[i] for i in mine]), strict=True):
        done[i] = matrix
    flat = torch._utils._flatten_dense_tensors(done)
    dist.all_reduce(flat)
    return list(torch._utils._unflatten_dense_tensors(flat, done))


def _each_orthogonalised(matrices: list[Tensor]) -> list[Tensor]:
    """Those of one shape together: a GPU would spend more time on starting small products than on doing them."""
    alike: dict[torch.Size, list[int]] = {}
    for i, matrix in enumerate(matrices):
        alike.setdefault(matrix.shape, []).append(i)
    done: dict[int, Tensor] = {}
    for places in alike.values():
        done |= zip(places, orthogonalised(torch.stack([matrices[i] for i in places])), strict=True)
    return [done[i] for i in range(len(matrices))]
