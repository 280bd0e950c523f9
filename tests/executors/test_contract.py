"""The contract of executors, held by each kind on its hardware: what they read, write, refuse.

The network is the embedded student's, whatever computes it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contract.cache_plan import CacheState, PassPlan, plan_chunk, plan_start
from contract.geometry import StudentGeometry
from contract.tensors import Manifest
from executors.base import CallError, DecodeCall, DecoderExecutor, PassCall, StudentExecutor
from service.engine.arena import HostArena
from tests.executors.conftest import KINDS, REPOSITORY, Kind

_GEOMETRY = Manifest.read(REPOSITORY).geometry
_WINDOW, _FRAMES = _GEOMETRY.window_frames, _GEOMETRY.chunk_frames
_LAST_START = _GEOMETRY.max_attended_frames
"""The last slot at which a chunk may be written."""


def latents(geometry: StudentGeometry, frames: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((frames, *geometry.latent_shape), dtype=np.float32)


def pass_call(arena: HostArena, plan: PassPlan, latent: NDArray[np.float32], **changes: Any) -> PassCall:
    frames = len(latent)
    call = PassCall(
        arena=arena.name,
        block=0,
        latent=latent,
        timestep=np.zeros(frames, np.float32),
        position=np.array(plan.positions, np.int64),
        past_position=np.array(plan.past_positions, np.int64),
        moves=np.array(plan.moves, np.int32).reshape(-1, 2),
        write_slot=plan.write_slot,
        text_context=None,
    )
    return replace(call, **changes)


def run(student: StudentExecutor, call: PassCall) -> NDArray[np.float32]:
    (result,) = student.run([call])
    assert not isinstance(result, CallError), result
    return result


def prefill(student: StudentExecutor, arena: HostArena, geometry: StudentGeometry, block: int = 0) -> CacheState:
    text = np.random.default_rng(9).standard_normal((geometry.text_tokens, geometry.text_dim), dtype=np.float32)
    plan = plan_start(geometry)
    run(student, pass_call(arena, plan.condition_pass, latents(geometry, 2), text_context=text, block=block))
    return plan.after


def test_every_pass_may_be_repeated_even_with_a_full_window(
    student: StudentExecutor, arena: HostArena, manifest: Manifest
) -> None:
    state = prefill(student, arena, manifest.geometry)
    for number in range(len(manifest.geometry.attended_lengths()) + 2):
        chunk, latent = plan_chunk(state), latents(manifest.geometry, manifest.geometry.chunk_frames, number)
        flow = run(student, pass_call(arena, chunk.denoise, latent))
        assert np.array_equal(flow, run(student, pass_call(arena, chunk.denoise, latent)))
        committed = run(student, pass_call(arena, chunk.commit, latent))
        assert np.array_equal(committed, run(student, pass_call(arena, chunk.commit, latent)))
        state = chunk.after
    assert state.staged, "the window is full, so the last chunk waits in staging"


def test_a_session_sees_nothing_of_another_block(
    student: StudentExecutor, arena: HostArena, manifest: Manifest
) -> None:
    geometry = manifest.geometry
    state = prefill(student, arena, geometry)
    chunk, latent = plan_chunk(state), latents(geometry, geometry.chunk_frames)
    alone = run(student, pass_call(arena, chunk.denoise, latent))
    prefill(student, arena, geometry, block=1)
    run(student, pass_call(arena, chunk.commit, latents(geometry, geometry.chunk_frames, 5), block=1))
    assert np.array_equal(alone, run(student, pass_call(arena, chunk.denoise, latent)))


def test_a_faulty_call_does_not_harm_its_batch(student: StudentExecutor, arena: HostArena, manifest: Manifest) -> None:
    state = prefill(student, arena, manifest.geometry)
    good = pass_call(arena, plan_chunk(state).denoise, latents(manifest.geometry, manifest.geometry.chunk_frames))
    flow, error = student.run([good, replace(good, block=2)])
    assert isinstance(flow, np.ndarray)
    assert str(error) == "block: 2 is not in [0, 2)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": -1}, r"block: -1 is not in \[0, 2\)"),
        ({"arena": "../etc/passwd"}, "is not the name of an arena"),
        ({"arena": "chameleon-00-arena"}, "cannot attach"),
        ({"write_slot": 1}, rf"write_slot: 1 is not in \[2, {_LAST_START}\]"),
        ({"write_slot": _LAST_START + 1}, rf"write_slot: {_LAST_START + 1} is not in \[2, {_LAST_START}\]"),
        ({"moves": np.array([[_WINDOW, 0]], np.int32)}, rf"move: a slot is not in \[0, {_WINDOW}\)"),
        (
            {"timestep": np.zeros(_FRAMES + 1, np.float32)},
            rf"timestep: shape \[{_FRAMES + 1}\] does not fit a latent of {_FRAMES} frames",
        ),
        (
            {"past_position": np.zeros(_WINDOW + 1, np.int64)},
            f"past_position: {_WINDOW + 1} frames, and the window holds {_WINDOW}",
        ),
    ],
)
def test_a_call_that_names_what_is_not_there_is_refused(
    student: StudentExecutor, arena: HostArena, manifest: Manifest, changes: dict[str, Any], message: str
) -> None:
    state = prefill(student, arena, manifest.geometry)
    plan = plan_chunk(state).denoise
    (error,) = student.run([replace(pass_call(arena, plan, latents(manifest.geometry, _FRAMES)), **changes)])
    assert isinstance(error, CallError)
    with pytest.raises(CallError, match=message):
        raise error


def test_an_arena_of_another_layout_is_refused(student: StudentExecutor, arena: HostArena, manifest: Manifest) -> None:
    arena._arena.map[16] ^= 1  # a digit of the layout's digest
    with pytest.raises(CallError, match=f"is not laid out for the student '{manifest.geometry.name}'"):
        student.probe(arena.name)


def test_a_chunk_decodes_as_its_latents_one_by_one(
    decoder: DecoderExecutor, arena: HostArena, manifest: Manifest
) -> None:
    geometry = manifest.geometry
    latent = latents(geometry, _FRAMES)
    whole = decoder.run(DecodeCall(arena=arena.name, block=0, latent=latent, read_bank=None, write_bank=0))
    frames = geometry.video_frames(first_chunk_of_segment=True)
    assert whole.shape == (frames, geometry.frame_height, geometry.frame_width, 3)
    single, read_bank = [], None
    for index in range(_FRAMES):
        write_bank = index % 2
        call = DecodeCall(
            arena=arena.name, block=1, latent=latent[index : index + 1], read_bank=read_bank, write_bank=write_bank
        )
        single.append(decoder.run(call))
        read_bank = write_bank
    assert np.array_equal(whole, np.concatenate(single))


def test_a_decode_may_be_repeated(decoder: DecoderExecutor, arena: HostArena, manifest: Manifest) -> None:
    first = DecodeCall(
        arena=arena.name, block=0, latent=latents(manifest.geometry, _FRAMES), read_bank=None, write_bank=0
    )
    decoder.run(first)
    following = replace(first, read_bank=0, write_bank=1)
    assert np.array_equal(decoder.run(following), decoder.run(following))


def test_a_decode_that_would_overwrite_what_it_reads_is_refused(
    decoder: DecoderExecutor, arena: HostArena, manifest: Manifest
) -> None:
    call = DecodeCall(arena=arena.name, block=0, latent=latents(manifest.geometry, _FRAMES), read_bank=1, write_bank=1)
    with pytest.raises(CallError, match="write_bank: 1 is the bank that is read"):
        decoder.run(call)


def test_a_cleared_block_is_as_it_was_before_any_session(
    student: StudentExecutor, decoder: DecoderExecutor, arena: HostArena, manifest: Manifest
) -> None:
    geometry = manifest.geometry
    untouched = tuple(range(geometry.max_attended_frames))
    look = PassPlan(past_positions=untouched, positions=tuple(range(_LAST_START, _WINDOW)))
    whole = pass_call(arena, look, latents(geometry, _FRAMES), block=1)
    decode = DecodeCall(arena=arena.name, block=1, latent=latents(geometry, 1), read_bank=0, write_bank=1)
    flow, frames = run(student, whole), decoder.run(decode)
    for block in (0, 1):
        prefill(student, arena, geometry, block=block)
        decoder.run(
            DecodeCall(arena=arena.name, block=block, latent=latents(geometry, 1), read_bank=None, write_bank=0)
        )
    assert not np.array_equal(flow, run(student, whole))
    assert not np.array_equal(frames, decoder.run(decode))
    other = replace(whole, block=0)
    of_the_other = run(student, other)
    student.clear(arena.name, 1)
    decoder.clear(arena.name, 1)
    assert np.array_equal(flow, run(student, whole))
    assert np.array_equal(frames, decoder.run(decode))
    assert np.array_equal(of_the_other, run(student, other)), "the other block is as it was"


def test_a_block_that_is_not_there_cannot_be_cleared(
    student: StudentExecutor, decoder: DecoderExecutor, arena: HostArena
) -> None:
    for executor in (student, decoder):
        with pytest.raises(CallError, match=r"block: 2 is not in \[0, 2\)"):
            executor.clear(arena.name, 2)


def test_a_probe_is_counted_in_the_file_that_both_sides_see(
    student: StudentExecutor, decoder: DecoderExecutor, arena: HostArena
) -> None:
    for cell, executor in enumerate((student, decoder)):
        executor.probe(arena.name)
        executor.probe(arena.name)
        assert arena.probe_count(cell) == 2


def test_every_kind_computes_what_onnx_runtime_computes(
    kind: Kind, student: StudentExecutor, decoder: DecoderExecutor, arena: HostArena, manifest: Manifest, tmp_path: Path
) -> None:
    geometry, other = manifest.geometry, tmp_path / "reference"
    other.mkdir()
    with HostArena(arena.layout, folder=other) as reference_arena:
        reference = KINDS["onnxruntime"]()
        want_student, want_decoder = reference.student(geometry, other), reference.decoder(geometry, other)
        state = prefill(student, arena, geometry)
        prefill(want_student, reference_arena, geometry)
        for number in range(2):
            chunk, latent = plan_chunk(state), latents(geometry, _FRAMES, number)
            for plan in (chunk.denoise, chunk.commit):
                got = run(student, pass_call(arena, plan, latent))
                want = run(want_student, pass_call(reference_arena, plan, latent))
                np.testing.assert_allclose(got, want, atol=kind.tolerance, rtol=0)
            state = chunk.after
        call = DecodeCall(arena=arena.name, block=0, latent=latents(geometry, 1), read_bank=None, write_bank=0)
        shown, wanted = decoder.run(call), want_decoder.run(replace(call, arena=reference_arena.name))
        assert np.abs(shown.astype(int) - wanted).max() <= (1 if kind.tolerance else 0), "a level of a colour at most"
