"""The committed graphs compute what PyTorch computes, at every number of sessions, frames and cached frames."""

from copy import deepcopy
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from contract.tensors import STUDENT, TEXT_ENCODER, VAE_DECODER, VAE_ENCODER, Manifest
from export import parity
from export.graphs import Graph, graphs
from export.to_onnx import OPSET
from student import nano
from student.student import Student

NAMES = (
    f"{TEXT_ENCODER}/1/text_encoder.onnx",
    f"{VAE_ENCODER}/1/vae_encoder.onnx",
    f"{STUDENT}/1/student.onnx",
    f"{VAE_DECODER}/1/first.onnx",
    f"{VAE_DECODER}/1/next.onnx",
)


@pytest.fixture(scope="module")
def by_path(student: Student) -> dict[str, Graph]:
    return {graph.path: graph for graph in graphs(student)}


@pytest.fixture(scope="module")
def other() -> dict[str, Graph]:
    """The same networks with the weights of another seed."""
    return {graph.path: graph for graph in graphs(nano.build(seed=1))}


def test_the_manifests_student_is_the_one_compared_with(
    student: Student, manifest: Manifest, by_path: dict[str, Graph]
) -> None:
    assert manifest.geometry == student.geometry
    assert manifest.tokenizer == student.tokenizer
    assert tuple(by_path) == NAMES


@pytest.mark.parametrize("path", NAMES)
def test_a_graph_equals_pytorch_at_the_sizes_that_are_served(
    path: str, by_path: dict[str, Graph], repository: Path
) -> None:
    assert parity.check(by_path[path], repository / path) <= parity.TOLERANCE


@pytest.mark.parametrize("cached", [0, 1, 2, 5, "full"])
def test_the_student_equals_pytorch_for_any_sessions_and_frames(
    cached: int | str, by_path: dict[str, Graph], repository: Path, manifest: Manifest
) -> None:
    S = manifest.geometry.max_attended_frames if cached == "full" else int(cached)
    sizes = tuple({"B": B, "F": F, "S": S} for B, F in product((1, 3), (1, 2, 3)))
    graph = replace(by_path[f"{STUDENT}/1/student.onnx"], sizes=sizes)
    assert parity.check(graph, repository / graph.path) <= parity.TOLERANCE


@pytest.mark.parametrize("path", [VAE_ENCODER, TEXT_ENCODER])
def test_the_encoders_equal_pytorch_for_a_batch_of_three(
    path: str, by_path: dict[str, Graph], repository: Path
) -> None:
    graph = replace(by_path[f"{path}/1/{path}.onnx"], sizes=({"B": 3},))
    assert parity.check(graph, repository / graph.path) <= parity.TOLERANCE


@pytest.mark.parametrize("path", NAMES)
def test_other_weights_are_told_apart(path: str, other: dict[str, Graph], repository: Path) -> None:
    with pytest.raises(parity.ParityError, match=r"differ by up to .* \(at most 1e-04\)"):
        parity.check(other[path], repository / path)


@pytest.mark.parametrize("path", NAMES)
def test_a_graph_has_the_contracts_names_and_types_and_no_trace_of_where_it_was_made(
    path: str, by_path: dict[str, Graph], repository: Path
) -> None:
    graph, file = by_path[path], repository / path
    model = onnx.load(file)
    onnx.checker.check_model(str(file))
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSET
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = graph.inputs(graph.example)
    assert [tensor.name for tensor in session.get_inputs()] == list(inputs)
    assert [tensor.name for tensor in session.get_outputs()] == list(graph.output_names)
    onnx_types = {torch.float32: "tensor(float)", torch.int64: "tensor(int64)", torch.uint8: "tensor(uint8)"}
    assert [tensor.type for tensor in session.get_inputs()] == [onnx_types[value.dtype] for value in inputs.values()]
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


@pytest.mark.parametrize("path", [path for path in NAMES if TEXT_ENCODER not in path])
def test_no_graph_of_pictures_has_operators_that_engines_run_slowly(path: str, repository: Path) -> None:
    operators = {node.op_type for node in onnx.load(repository / path, load_external_data=False).graph.node}
    assert not operators & {"ScatterND", "GatherND", "ScatterElements", "NonZero", "Loop", "If"}


def test_a_decoded_stream_equals_pytorch_frame_by_frame(student: Student, repository: Path) -> None:
    """Errors do not grow through the caches that each decode hands to the next.

    PyTorch decodes in double precision: caches reach 98, and in single precision it is PyTorch that is off by 1.1e-4.
    """
    exact = deepcopy(student.vae).double()
    folder = repository / VAE_DECODER / "1"
    first, following = (
        onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        for name in ("first.onnx", "next.onnx")
    )
    latents = torch.randn(6, *student.geometry.latent_shape, generator=torch.Generator().manual_seed(0))
    torch_caches = None
    caches: list[np.ndarray] = []
    for number, latent in enumerate(latents):
        with torch.no_grad():
            want, torch_caches = exact.decode(latent[None], torch_caches)
        feed = {"latent": latent[None].numpy()} | {f"cache_{i}": cache for i, cache in enumerate(caches)}
        frame, *caches = (first if number == 0 else following).run(None, feed)
        assert frame.shape == (student.geometry.vae_temporal_stride if number else 1, *want.shape[1:])
        assert np.abs(frame.astype(int) - want.numpy().astype(int)).max() <= parity.PIXEL_TOLERANCE
        for got, cache in zip(caches, torch_caches, strict=True):
            np.testing.assert_allclose(got, cache.numpy(), atol=parity.TOLERANCE, rtol=0)
