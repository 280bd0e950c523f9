"""What a part costs at least: operations counted by running it on the meta device, rates measured on this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_clock import Clock
from executors.torch_fp8 import Fp8Linear

_LINEAR = ("aten.mm", "aten.addmm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Floating-point operations, those of linears apart, and bytes that must move: weights and caches, once."""

    linear_flop: float
    other_flop: float
    bytes: float = 0.0

    @property
    def flop(self) -> float:
        return self.linear_flop + self.other_flop

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            linear_flop=self.linear_flop + other.linear_flop,
            other_flop=self.other_flop + other.other_flop,
            bytes=self.bytes + other.bytes,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(linear_flop=times * self.linear_flop, other_flop=times * self.other_flop, bytes=times * self.bytes)


def counted(work: Callable[[], object]) -> Cost:
    """The operations of `work`, which runs on meta tensors: nothing is computed."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    by_operator = {str(operator): count for operator, count in counter.get_flop_counts()["Global"].items()}
    linear = sum(count for name, count in by_operator.items() if name in _LINEAR)
    return Cost(linear_flop=linear, other_flop=sum(by_operator.values()) - linear)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Of this machine, measured: operations a second of matrix products, bytes a second read and written by a copy."""

    matrix: float
    fp8_matrix: float | None
    copy: float

    def floor_ms(self, cost: Cost, *, fp8: bool) -> float:
        """The longer of computing and moving; with `fp8` the linears compute at the FP8 rate."""
        linear = self.fp8_matrix if fp8 and self.fp8_matrix else self.matrix
        return 1000 * max(cost.linear_flop / linear + cost.other_flop / self.matrix, cost.bytes / self.copy)

    def to_json(self) -> dict[str, float]:
        rates = {"matrix_tflops": self.matrix / 1e12, "copy_gbs": self.copy / 1e9}
        return rates if self.fp8_matrix is None else rates | {"fp8_matrix_tflops": self.fp8_matrix / 1e12}


def measured_rates(clock: Clock, dtype: torch.dtype, *, fp8: bool, width: int, copied: int) -> Rates:
    """
    Args:
        fp8: whether the device has FP8 products.
        width: of the square matrices.
        copied: bytes of the copy.
    """
    a = torch.randn(width, width, device=clock.device).to(dtype)
    b = torch.randn(width, width, device=clock.device).to(dtype)
    source = torch.zeros(copied, dtype=torch.uint8, device=clock.device)
    target = torch.empty_like(source)
    fp8_matrix = None
    if fp8:
        fp8_matrix = 2 * width**3 / (clock.measure(_fp8_product(a, b)).least_ms / 1000)
    return Rates(
        matrix=2 * width**3 / (clock.measure(lambda: a @ b).least_ms / 1000),
        fp8_matrix=fp8_matrix,
        copy=2 * copied / (clock.measure(lambda: target.copy_(source)).least_ms / 1000),
    )


def _fp8_product(a: Tensor, b: Tensor) -> Callable[[], object]:
    linear = torch.nn.Linear(b.shape[0], b.shape[1], bias=False, device=b.device, dtype=b.dtype)
    quantised = Fp8Linear(linear)
    tokens = a.to(quantised.weight.dtype)
    ones = torch.ones(len(a), 1, device=a.device)
    scale = quantised.weight_scale
    return lambda: torch._scaled_mm(
        tokens, quantised.weight.t(), scale_a=ones, scale_b=scale, out_dtype=a.dtype, use_fast_accum=True
    )
