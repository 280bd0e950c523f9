"""Profiles are the passes that the cache plan makes, no more and no fewer, in exact shapes."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.cache_plan import CacheState, Policy, plan_chunk, plan_start, plan_switch
from contract.engine_manifest import BATCH, CACHED, FRAMES, Profile
from contract.geometry import WAN_5B
from contract.tensors import Manifest
from export.engines.profiles import Fill, fills, fitting, input_shapes, profiles, shapes


def test_5b_fills_are_both_prefills_and_seven_windows() -> None:
    assert fills(WAN_5B)[:2] == (
        Fill(name="prefill", frames=2, cached=0),
        Fill(name="garment", frames=1, cached=1),
    )
    assert [(fill.name, fill.frames, fill.cached) for fill in fills(WAN_5B)[2:]] == [
        (str(cached), 3, cached) for cached in (2, 5, 8, 11, 14, 17, 20)
    ]


@given(
    policies=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(Policy)), max_size=4),
    recent_chunks=st.integers(2, 6),
    sink_chunks=st.integers(0, 2),
)
def test_whatever_a_session_does_every_pass_of_it_has_a_profile(
    policies: list[tuple[int, Policy]], recent_chunks: int, sink_chunks: int
) -> None:
    geometry = replace(WAN_5B, recent_frames=3 * recent_chunks, sink_frames=3 * sink_chunks)
    known = {(fill.frames, fill.cached) for fill in fills(geometry)}
    plan = plan_start(geometry)
    passes = [plan.condition_pass]
    state: CacheState = plan.after
    for chunks, policy in policies:
        for _ in range(chunks):
            chunk = plan_chunk(state)
            passes += [chunk.denoise, chunk.commit]
            state = chunk.after
        switch = plan_switch(state, policy)
        passes.append(switch.condition_pass)
        state = switch.after
    assert {(len(one.positions), one.attended) for one in passes} <= known


def test_profiles_are_chosen_by_fill_and_batch_once_each() -> None:
    assert profiles(["full"], WAN_5B) == (Profile(sizes={BATCH: 1, FRAMES: 3, CACHED: 20}),)
    assert profiles(["20", "full", "prefillx2"], WAN_5B) == (
        Profile(sizes={BATCH: 1, FRAMES: 3, CACHED: 20}),
        Profile(sizes={BATCH: 2, FRAMES: 2, CACHED: 0}),
    )
    assert len(profiles(["all"], WAN_5B)) == 9
    assert len(profiles(["all", "allx4"], WAN_5B)) == 18


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("3", r"--profile 3: '3' is none of all, prefill, garment, 2, 5, 8, 11, 14, 17, 20, full"),
        ("fullx5", r"--profile fullx5: batch '5' is not in \[1, 4\]"),
        ("fullx0", "batch '0'"),
        ("fullx", "batch ''"),
        ("fullx1x1", "batch '1x1'"),
        ("", "'' is none of"),
    ],
)
def test_a_profile_that_there_is_not_is_refused_with_what_there_is(option: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profiles([option], WAN_5B)


def test_a_graph_gets_the_sizes_it_has(repository: Path, manifest: Manifest) -> None:
    students = profiles(["prefill", "full", "fullx2"], manifest.geometry)
    encoder = input_shapes(repository / "vae_encoder/1/vae_encoder.onnx")
    assert fitting(students, encoder) == (Profile(sizes={BATCH: 1}), Profile(sizes={BATCH: 2}))
    decoder = input_shapes(repository / "vae_decoder/1/next.onnx")
    assert fitting(students, decoder) == (Profile(sizes={}),)
    assert fitting(students, input_shapes(repository / "student/1/student.onnx")) == students


def test_shapes_are_exact_and_the_cache_counts_tokens(repository: Path, manifest: Manifest) -> None:
    geometry = manifest.geometry
    inputs = input_shapes(repository / "student/1/student.onnx")
    (full,) = profiles(["fullx2"], geometry)
    exact = shapes(full, inputs)
    cached = geometry.max_attended_frames
    assert exact["latent"] == (2, 3, *geometry.latent_shape)
    assert exact["past_position"] == (2, cached)
    assert exact["past_k_0"] == (2, cached * geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
    assert set(exact) == set(inputs)


def test_a_dimension_that_no_profile_speaks_of_is_refused_by_name(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", "length"])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", "length"])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "g.onnx")
    with pytest.raises(ValueError, match="input x has a dimension 'length', known are batch, frames, cached"):
        input_shapes(tmp_path / "g.onnx")
