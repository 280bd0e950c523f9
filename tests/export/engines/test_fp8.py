"""The FP8 recipe: which linears are rounded, how they are calibrated, and what their graph computes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from export.engines import fp8
from export.engines.library import ToolError
from student.dit import CausalDiT, DiTConfig
from student.inference import fuse

CONFIG = DiTConfig(
    channels=4, dim=32, ffn_dim=64, num_heads=2, num_layers=2, freq_dim=16, text_dim=8
)  # fmt: skip


@pytest.fixture
def network() -> CausalDiT:
    torch.manual_seed(0)
    return CausalDiT(CONFIG).eval().requires_grad_(False)


def _drive(network: CausalDiT) -> torch.Tensor:
    torch.manual_seed(1)
    latent, text = torch.randn(1, 2, 4, 4, 4), torch.randn(1, 3, 8)
    return network.attend_all(latent, torch.full((1, 2), 500.0), text, torch.arange(2)[None])


def test_attention_and_feed_forward_are_rounded_and_nothing_else(network: CausalDiT) -> None:
    names = set(fp8.quantised_names(network))
    layer = {f"{part}.{linear}" for part in ("self_attn", "cross_attn") for linear in "qkvo"} | {"ffn.0", "ffn.2"}
    assert names == {f"blocks.{index}.{linear}" for index in range(2) for linear in layer}
    others = {name for name, module in network.named_modules() if isinstance(module, nn.Linear)} - names
    assert {name.split(".")[0] for name in others} == {"text_embedding", "time_embedding", "time_projection", "head"}


def test_fused_queries_keys_and_values_are_rounded_too(network: CausalDiT) -> None:
    fuse(network.blocks[0].self_attn)
    names = fp8.quantised_names(network)
    assert "blocks.0.self_attn.qkv" in names
    assert "blocks.0.self_attn.q" not in names


def test_calibration_finds_each_linears_largest_input_and_leaves_the_network_as_it_was(network: CausalDiT) -> None:
    seen: dict[str, float] = {}

    def watch(name: str) -> object:
        def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[name] = max(seen.get(name, 0.0), float(inputs[0].abs().max()))

        return network.get_submodule(name).register_forward_pre_hook(hook)

    handles = [watch(name) for name in fp8.quantised_names(network)]
    before = _drive(network)
    for handle in handles:
        handle.remove()  # type: ignore[attr-defined]
    assert fp8.calibrate(network, _drive) == pytest.approx(seen, rel=1e-5)
    assert torch.equal(_drive(network), before)
    assert type(network.blocks[0].ffn[0]) is nn.Linear


def test_a_linear_that_calibration_never_reached_is_named(network: CausalDiT) -> None:
    with pytest.raises(ValueError, match=r"no usable input to blocks\.0\.self_attn\.q, "):
        fp8.calibrate(network, lambda _: None)


def test_without_modelopt_the_package_to_install_is_named(network: CausalDiT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install nvidia-modelopt==0\.47\.0"):
        fp8.calibrate(network, _drive)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_keep_their_size_and_what_is_larger_than_calibrated_is_clipped(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 16, dtype=dtype).requires_grad_(False)
    rounded = fp8.StaticFp8Linear(linear, largest_input=3.0)
    x = torch.rand(32, 64).sub(0.5).mul(6).to(dtype)
    assert rounded(x).dtype == dtype
    error = (rounded(x).float() - linear(x).float()).square().mean() / linear(x).float().square().mean()
    assert 1e-5 < error < 3e-3
    assert rounded.weight.dtype == torch.float8_e4m3fn
    huge = torch.full((1, 64), 1e6).to(dtype)
    assert torch.equal(rounded(huge), rounded(torch.full((1, 64), 3.1).to(dtype)))
    assert torch.isfinite(rounded(huge)).all()


def test_the_graph_computes_what_pytorch_does_with_float8_weights_inside(tmp_path: Path) -> None:
    torch.manual_seed(0)
    linear = fp8.StaticFp8Linear(nn.Linear(64, 16).requires_grad_(False), largest_input=2.0).eval()
    x = torch.randn(8, 64)
    with torch.no_grad():
        program = torch.onnx.export(linear, (x,), opset_version=20, dynamo=True, verbose=False)
    assert program is not None
    program.save(str(tmp_path / "linear.onnx"))
    model = onnx.load(tmp_path / "linear.onnx")
    onnx.checker.check_model(model)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") == 1
    assert kinds.count("DequantizeLinear") == 2
    (weight,) = (one for one in model.graph.initializer if list(one.dims) == [16, 64])
    assert weight.data_type == onnx.TensorProto.FLOAT8E4M3FN
    session = onnxruntime.InferenceSession(str(tmp_path / "linear.onnx"), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(got, linear(x).numpy(), atol=1e-4)


def test_rounding_all_of_a_network_changes_its_flow_by_a_few_percent(network: CausalDiT) -> None:
    exact = _drive(network)
    fp8.quantise(network, fp8.calibrate(network, _drive))
    assert not fp8.quantised_names(network)
    error = (_drive(network) - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 1e-3 < error < 0.15
