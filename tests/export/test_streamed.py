"""A student whose weights were never all in memory: its graphs compute what PyTorch computes with those weights."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import onnx
import pytest
import torch

from contract.geometry import WAN_5B
from contract.tensors import STUDENT, TEXT_ENCODER, VAE_DECODER, VAE_ENCODER, Manifest
from export import parity, streamed
from export.__main__ import main
from export.graphs import Graph, graphs
from export.repository import write_streamed
from student import inference
from student.text import TextConfig
from student.vae import VaeConfig, decoder_cache_shapes
from student.wan import WanSizes, named_parameters, random_weights

VAE = VaeConfig(
    base_dim=8,
    decoder_base_dim=8,
    z_dim=4,
    latents_mean=(0.1,) * 4,
    latents_std=(2.0,) * 4,
    dim_mult=(1, 1),
    num_res_blocks=1,
    temperal_downsample=(True,),
    scale_factor_temporal=2,
    scale_factor_spatial=4,
)
TEXT = TextConfig(vocabulary=300, dim=12, ffn_dim=16, num_heads=2, num_layers=1)
# One block of a width at which linear weights are beyond what the exporter's constant folding would read.
SIZES = WanSizes(
    geometry=replace(
        WAN_5B,
        dim=192,
        ffn_dim=256,
        num_heads=2,
        num_layers=1,
        freq_dim=32,
        text_dim=TEXT.dim,
        text_tokens=5,
        latent_channels=VAE.z_dim,
        latent_height=4,
        latent_width=2,
        vae_temporal_stride=2,
        vae_spatial_stride=4,
        decoder_cache_shapes=decoder_cache_shapes(VAE, latent_height=4, latent_width=2),
        cache_dtype="float32",
    ),
    vae=VAE,
    text=TEXT,
)


class Written:
    """The graphs of `models`, streamed into a folder; `reads` counts how often each weight was read."""

    def __init__(self, root: Path, *models: str) -> None:
        self.root = root
        self.reads: dict[str, int] = {}
        student = SIZES.meta()
        weights = random_weights(student, dtype=torch.float32)
        counted = {name: self._counted(name, read) for name, read in weights.items()}
        mode = streamed.hollow(student, dtype=torch.float32)
        chosen = [graph for graph in graphs(student) if graph.path.split("/")[0] in models]
        traced = {root / graph.path: streamed.stream(graph, counted, mode) for graph in chosen}
        self.sizes = dict(zip(traced, streamed.write(traced, weights="weights.bin"), strict=True))

    def _counted(self, name, read):
        def counted():
            self.reads[name] = self.reads.get(name, 0) + 1
            return read()

        return counted


@pytest.fixture(scope="module")
def real() -> dict[str, Graph]:
    return {graph.path: graph for graph in graphs(SIZES.build(dtype=torch.float32))}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("backbone"), STUDENT)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("decoder"), VAE_DECODER)


def _external(path: Path) -> Iterator[tuple[str, int, int]]:
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            yield tensor.name, int(entries["offset"]), int(entries["length"])


def test_the_backbone_equals_pytorch(backbone: Written, real: dict[str, Graph]) -> None:
    (path,) = backbone.sizes
    graph = real[path.relative_to(backbone.root).as_posix()]
    assert parity.check(graph, path) <= parity.TOLERANCE


def test_no_linear_weight_is_left_to_be_transposed(backbone: Written) -> None:
    """Whoever loads the graph would make a second copy of each."""
    (path,) = backbone.sizes
    model = onnx.load(path, load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    assert not [node for node in model.graph.node if node.op_type == "Transpose" and node.input[0] in weights]


def test_large_weights_lie_outside_of_the_graph_once_and_back_to_back(backbone: Written) -> None:
    (path,) = backbone.sizes
    spans = sorted((offset, length) for _, offset, length in _external(path))
    assert spans[0][0] == 0
    assert all(offset + length == following for (offset, length), (following, _) in pairwise(spans))
    assert sum(spans[-1]) == (path.parent / "weights.bin").stat().st_size == backbone.sizes[path].weight_bytes
    assert path.stat().st_size == backbone.sizes[path].graph_bytes < 100_000


def test_each_large_weight_is_read_once(backbone: Written) -> None:
    large = [
        name
        for name, parameter in named_parameters(SIZES.meta()).items()
        if name.startswith("network.") and parameter.numel() > 16_384
    ]
    assert len(large) > 10
    assert {backbone.reads[name] for name in large} == {1}


def test_both_graphs_of_the_decoder_use_one_file_and_equal_pytorch(decoder: Written, real: dict[str, Graph]) -> None:
    first, following = decoder.sizes
    assert set(_external(first)) < set(_external(following)), "a segment's first latent is not resampled in time"
    for path in decoder.sizes:
        inline = [tensor for tensor in onnx.load(path, load_external_data=False).graph.initializer if tensor.raw_data]
        assert max(len(tensor.raw_data) for tensor in inline) <= 1024, "every large weight lies outside"
        assert parity.check(real[path.relative_to(decoder.root).as_posix()], path) <= parity.TOLERANCE


def test_the_encoder_keeps_the_newest_taps_only_and_equals_pytorch(real: dict[str, Graph], tmp_path: Path) -> None:
    written = Written(tmp_path, VAE_ENCODER)
    (path,) = written.sizes
    assert parity.check(real[path.relative_to(tmp_path).as_posix()], path) <= parity.TOLERANCE
    kernels = [tensor.dims[2] for tensor in onnx.load(path).graph.initializer if len(tensor.dims) == 5]
    assert set(kernels) == {1}


def test_the_text_encoder_has_its_tied_embedding_and_equals_pytorch(real: dict[str, Graph], tmp_path: Path) -> None:
    written = Written(tmp_path, TEXT_ENCODER)
    (path,) = written.sizes
    assert parity.check(real[path.relative_to(tmp_path).as_posix()], path) <= parity.TOLERANCE


def test_with_time_tables_and_fused_qkv_it_equals_pytorch_with_the_same(tmp_path: Path) -> None:
    student = SIZES.meta()
    weights = streamed.prepare(student, random_weights(student, dtype=torch.float32), dtype=torch.float32)
    mode = streamed.hollow(student, dtype=torch.float32)
    (graph,) = (graph for graph in graphs(student) if graph.path.startswith(STUDENT))
    path = tmp_path / graph.path
    streamed.write({path: streamed.stream(graph, weights, mode)}, weights="weights.bin")
    names = {tensor.name for tensor in onnx.load(path, load_external_data=False).graph.initializer}
    assert "part.blocks.0.self_attn.qkv.weight.transposed" in names
    assert not any(name.startswith(("part.time_embedding", "part.time_projection")) for name in names)
    real = SIZES.build(dtype=torch.float32, parts=["network"])
    inference.prepare(real.network, real.schedule)
    (graph,) = (graph for graph in graphs(real) if graph.path.startswith(STUDENT))
    assert parity.check(graph, path) <= parity.TOLERANCE


def test_in_bfloat16_weights_are_stored_and_keys_cached_in_it_and_latents_stay_float32(tmp_path: Path) -> None:
    student = replace(SIZES, geometry=replace(SIZES.geometry, cache_dtype="bfloat16")).meta()
    weights = random_weights(student, dtype=torch.bfloat16)
    mode = streamed.hollow(student, dtype=torch.bfloat16)
    by_model = {graph.path.split("/")[0]: graph for graph in graphs(student)}
    inputs = by_model[STUDENT].inputs({"B": 1, "F": 3, "S": 2})
    assert (inputs["latent"].dtype, inputs["past_k_0"].dtype) == (torch.float32, torch.bfloat16)
    graph = by_model[TEXT_ENCODER]
    path = tmp_path / graph.path
    streamed.write({path: streamed.stream(graph, weights, mode)}, weights="weights.bin")
    model = onnx.load(path)
    assert [value.type.tensor_type.elem_type for value in model.graph.output] == [onnx.TensorProto.FLOAT]
    (embedding,) = (tensor for tensor in model.graph.initializer if list(tensor.dims) == [300, 12])
    assert embedding.data_type == onnx.TensorProto.BFLOAT16
    read = weights["text_encoder.encoder.shared.weight"]()
    assert embedding.raw_data == read.view(torch.uint16).numpy().tobytes()


def test_some_models_alone_make_a_repository_whose_graphs_tensorrt_builds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In bfloat16, as a slice of the 5B student is tried on a machine without a GPU."""
    student = replace(SIZES, geometry=replace(SIZES.geometry, cache_dtype="bfloat16")).meta()
    weights = random_weights(student, dtype=torch.bfloat16)
    lines = list(write_streamed(student, weights, tmp_path, made={}, dtype=torch.bfloat16, only=[STUDENT]))
    assert lines[-1].startswith("manifest.json: 2 files, ")
    assert list(Manifest.read(tmp_path).files) == ["student/1/student.onnx", "student/1/weights.bin"]
    assert main(["check", "--root", str(tmp_path), "--only", STUDENT]) == 0
    assert "student.onnx: parsed and built, profiles: 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give either --weights FOLDER or --random-weights"),
        (["--random-weights", "--weights", "x"], "give either"),
        (["--random-weights", "--network", "x", "--report"], "--network replaces the backbone of --weights"),
        (["--random-weights"], "give --root FOLDER"),
        (["--random-weights", "--root", "x", "--compare"], "--compare needs --precision fp32"),
        (["--weights", "x", "--layers", "1", "--report"], "--layers cuts the backbone"),
        (["--random-weights", "--report", "--frame", "700x1280"], "no multiple of 32x32"),
        (["--weights", "/nowhere", "--report"], "no folder /nowhere"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["onnx", "--student", "5b", *arguments]) == 2
    assert complaint in capsys.readouterr().err
