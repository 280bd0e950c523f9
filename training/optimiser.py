"""AdamW as in the paper; Muon for hidden matrices where training starts from nothing. Warm-up, decay, clip."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from training.muon import Muon

Named = dict[str, nn.Parameter]


class Method(StrEnum):
    ADAMW = "adamw"
    MUON = "muon"
    """Orthogonalised momentum for the blocks' matrices, AdamW for the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserConfig:
    """Numbers of an optimiser and its learning rate over time.

    Attributes:
        lr: peak learning rate. Muon's updates are scaled to AdamW's size, so that one number serves both.
        drops: (step, lr) from which the rate is another one.
        cosine: fall to `last_lr_share` of the rate at the last step.
    """

    method: Method = Method.ADAMW
    lr: float
    betas: tuple[float, float]
    weight_decay: float = 0.01
    clip: float
    warmup: int = 0
    drops: tuple[tuple[int, float], ...] = ()
    cosine: bool = False
    last_lr_share: float = 0.05

    def lr_at(self, step: int, steps: int) -> float:
        """The rate of a step, counted from 0."""
        lr = self.lr
        for start, dropped in self.drops:
            if step >= start:
                lr = dropped
        if step < self.warmup:
            return lr * (step + 1) / self.warmup
        if not self.cosine:
            return lr
        progress = min(1.0, (step - self.warmup) / max(1, steps - self.warmup))
        return lr * (self.last_lr_share + (1 - self.last_lr_share) * (1 + math.cos(math.pi * progress)) / 2)


class Optimiser:
    """Steps the parameters it is given by name."""

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], config: OptimiserConfig, *, steps: int) -> None:
        self._config = config
        self._steps = steps
        self._named: Named = {name: parameter for name, parameter in parameters if parameter.requires_grad}
        hidden = {name for name, parameter in self._named.items() if _is_hidden(name, parameter)}
        if config.method is not Method.MUON:
            hidden = set()
        rest = [parameter for name, parameter in self._named.items() if name not in hidden]
        decay = config.weight_decay
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=config.lr, betas=config.betas, weight_decay=decay, fused=True)
        ]
        if hidden:
            matrices = [self._named[name] for name in sorted(hidden)]
            if any(isinstance(matrix, DTensor) for matrix in matrices):
                raise ValueError("Muon needs whole matrices: use AdamW where weights are sharded")
            self._parts.append(Muon(matrices, lr=config.lr, weight_decay=decay))

    def step(self, step: int) -> dict[str, float]:
        """Clip, step, forget the gradients; returns the gradient's norm before clipping and the rate."""
        lr = self._config.lr_at(step, self._steps)
        _average_over_processes(self._named.values())
        norm = nn.utils.clip_grad_norm_(self._named.values(), self._config.clip, error_if_nonfinite=True)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
            part.zero_grad(set_to_none=True)
        return {"grad_norm": float(whole(norm)), "lr": lr}

    def state(self) -> dict[str, dict[str, Any]]:
        """What the optimiser remembers, by parameter name; whole tensors on the CPU, however they are sharded."""
        return {
            name: {key: whole(value).cpu() for key, value in part.state[parameter].items()}
            for part in self._parts
            for name, parameter in self._named.items()
            if parameter in part.state
        }

    def load(self, state: dict[str, dict[str, Any]]) -> None:
        """Take up what `state` gave.

        Raises:
            ValueError: if a name is unknown.
        """
        if unknown := set(state) - set(self._named):
            raise ValueError(f"optimiser state of unknown parameters: {', '.join(sorted(unknown))}")
        for part in self._parts:
            owned = {parameter for group in part.param_groups for parameter in group["params"]}
            for name, values in state.items():
                parameter = self._named[name]
                if parameter in owned:
                    part.state[parameter] = {key: like(value, parameter) for key, value in values.items()}


def _is_hidden(name: str, parameter: Tensor) -> bool:
    """Matrices within the blocks, and convolutions but for those that embed."""
    if parameter.ndim == 2:
        return "blocks." in name and name.endswith("weight")
    return parameter.ndim >= 4 and "embedding" not in name


def _average_over_processes(parameters: Iterable[nn.Parameter]) -> None:
    """Replicated weights: every process gets the mean gradient. FSDP2 has done so where weights are sharded."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not dist.is_initialized() or any(isinstance(gradient, DTensor) for gradient in gradients):
        return
    flat = torch._utils._flatten_dense_tensors(gradients)
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, torch._utils._unflatten_dense_tensors(flat, gradients), strict=True):
        gradient.copy_(mean)


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor on the parameter's device, sharded as the parameter is (a step count is not)."""
    value = value.to(parameter.device)
    if isinstance(parameter, DTensor) and value.shape == parameter.shape:
        return distribute_tensor(value, parameter.device_mesh, parameter.placements)
    return value
