"""The FP8 recipe: attention's and the feed-forward's linears in static FP8; embedders, modulation, norms, head stay.

NVIDIA's Model Optimizer (modelopt) calibrates: it watches the largest inputs of those linears. What it found becomes a
linear with float8 weights and one scale for its inputs, which exports as ONNX's QuantizeLinear and DequantizeLinear;
TensorRT fuses those with the product.
"""

from __future__ import annotations

import copy
import importlib.util
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.engines.library import ToolError
from export.to_onnx import OPSET
from student.dit import CausalDiT

MODELOPT = "nvidia-modelopt==0.47.0"
FLOAT8 = torch.float8_e4m3fn
_LARGEST = torch.finfo(FLOAT8).max
_QUANTISED = re.compile(r"blocks\.\d+\.(self_attn|cross_attn)\.(q|k|v|o|qkv)|blocks\.\d+\.ffn\.\d+")
_FORMAT = {"num_bits": (4, 3), "axis": None}  # E4M3, one scale a tensor


def quantised_names(network: CausalDiT) -> tuple[str, ...]:
    """The linears that become FP8, by their names in the checkpoint."""
    return tuple(
        name for name, module in network.named_modules() if isinstance(module, nn.Linear) and _QUANTISED.fullmatch(name)
    )


class StaticFp8Linear(nn.Module):
    """A linear whose weights are float8 and whose inputs are rounded to float8 with a scale known beforehand."""

    weight: Tensor
    weight_scale: Tensor
    input_scale: Tensor
    zero_point: Tensor

    def __init__(self, linear: nn.Linear, *, largest_input: float) -> None:
        """
        Args:
            largest_input: of the calibration, in absolute value; what is larger is clipped.
        """
        super().__init__()
        weight = linear.weight.detach()
        # TensorRT wants scales in the type of what is scaled; rounded up, so that the largest value still fits.
        scale = _rounded_up(weight.float().abs().amax().clamp_min(1e-12) / _LARGEST, weight.dtype)
        self.register_buffer("weight", _to_float8(weight, scale))
        self.register_buffer("weight_scale", scale)
        largest = torch.tensor(max(largest_input, 1e-12), device=weight.device)
        self.register_buffer("input_scale", _rounded_up(largest / _LARGEST, weight.dtype))
        self.register_buffer("zero_point", torch.zeros((), dtype=FLOAT8, device=weight.device))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out] of x's type; on the way into a graph the rounding becomes ONNX operators."""
        if torch.compiler.is_exporting():
            rounded = _operator("QuantizeLinear", (x, self.input_scale, self.zero_point), FLOAT8, x.shape)
            x = _operator("DequantizeLinear", (rounded, self.input_scale), x.dtype, x.shape)
            weight = _operator("DequantizeLinear", (self.weight, self.weight_scale), x.dtype, self.weight.shape)
        else:
            x = _from_float8(_to_float8(x, self.input_scale), self.input_scale)
            weight = _from_float8(self.weight, self.weight_scale)
        return F.linear(x, weight, self.bias)


def calibrate(
    network: CausalDiT, drive: Callable[[CausalDiT], None], *, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """The largest input, in absolute value, that each of `quantised_names` met.

    Args:
        drive: runs the network it is given, over what it shall serve. It gets a copy: modelopt changes its modules.
        device: where the copy runs.

    Raises:
        ToolError: modelopt is not installed.
        ValueError: a linear met no input, or not a finite one.
    """
    if importlib.util.find_spec("modelopt") is None:
        raise ToolError(f"FP8 is calibrated by NVIDIA's Model Optimizer, not installed: pip install {MODELOPT}")
    with warnings.catch_warnings():
        # It was tested with another transformers, of which nothing is used here.
        warnings.simplefilter("ignore", UserWarning)
        import modelopt.torch.quantization as mtq

    names = quantised_names(network)
    with torch.no_grad():
        watched = mtq.quantize(copy.deepcopy(network).to(device), _config(names), forward_loop=drive)
    largest = {name: watched.get_submodule(name).input_quantizer.amax for name in names}
    unseen = [name for name, value in largest.items() if value is None or not bool(torch.isfinite(value))]
    if unseen:
        raise ValueError(f"calibration showed no usable input to {', '.join(unseen)}")
    return {name: float(value) for name, value in largest.items()}


def quantise(network: CausalDiT, largest_inputs: Mapping[str, float]) -> CausalDiT:
    """Replace those linears, in place."""
    for name, largest in largest_inputs.items():
        parent, _, child = name.rpartition(".")
        linear = network.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(network.get_submodule(parent), child, StaticFp8Linear(linear, largest_input=largest))
    return network


def _config(names: tuple[str, ...]) -> dict[str, Any]:
    nothing = {"quantizer_name": "*", "enable": False}
    wanted = [
        {"quantizer_name": f"{name}.{side}_quantizer", "cfg": _FORMAT} for name in names for side in ("input", "weight")
    ]
    return {"algorithm": "max", "quant_cfg": [nothing, *wanted]}


def _operator(name: str, inputs: tuple[Tensor, ...], dtype: torch.dtype, shape: torch.Size) -> Tensor:
    made: Tensor = torch.onnx.ops.symbolic(name, inputs, dtype=dtype, shape=shape, version=OPSET)
    return made


def _rounded_up(scale: Tensor, dtype: torch.dtype) -> Tensor:
    rounded = scale.to(dtype)
    return torch.where(rounded.float() < scale, torch.nextafter(rounded, torch.full_like(rounded, torch.inf)), rounded)


def _to_float8(x: Tensor, scale: Tensor) -> Tensor:
    return (x.float() / scale.float()).clamp(-_LARGEST, _LARGEST).to(FLOAT8)


def _from_float8(x: Tensor, scale: Tensor) -> Tensor:
    return (x.float() * scale.float()).to(scale.dtype)
