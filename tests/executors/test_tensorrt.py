"""What is TensorRT's own: engines that belong here, addresses in the arena, graphs, memory. On the fake device."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.arena_layout import ArenaLayout
from contract.cache_plan import plan_chunk
from contract.engine_manifest import ENGINE_MANIFEST_FILE, EngineError
from contract.tensors import TEXT_ENCODER, VAE_ENCODER, Manifest, models
from executors.base import CallError, DecodeCall
from executors.cuda import CudaError
from executors.onnx_encoders import OnnxEncoder
from executors.tensorrt_decoder import TensorrtDecoder
from executors.tensorrt_encoders import TensorrtEncoder
from executors.tensorrt_engine import Toolkit
from executors.tensorrt_student import TensorrtStudent
from service.engine.arena import HostArena
from tests.executors import fake_tensorrt
from tests.executors.conftest import KINDS, REPOSITORY
from tests.executors.fake_tensorrt import fake_toolkit, write_engines
from tests.executors.test_contract import latents, pass_call, prefill, run

STUDENT_GRAPH = "student/1/student.onnx"


@pytest.fixture
def toolkit() -> Toolkit:
    return fake_toolkit()


@pytest.fixture
def engines(toolkit: Toolkit, manifest: Manifest, tmp_path: Path) -> Path:
    folder = tmp_path / "engines"
    folder.mkdir()
    write_engines(folder, REPOSITORY, manifest.geometry, toolkit.machine())
    return folder


@pytest.fixture
def student(engines: Path, toolkit: Toolkit, manifest: Manifest, tmp_path: Path) -> TensorrtStudent:
    return TensorrtStudent(engines, manifest, probe_cell=0, folder=tmp_path, toolkit=toolkit)


@pytest.mark.parametrize(
    ("here", "reason"),
    [
        ({"gpu": "Another GPU"}, "gpu: built for 'Fake GPU', here is 'Another GPU'"),
        ({"capability": (8, 9)}, "compute_capability: built for '9.0', here is '8.9'"),
    ],
)
def test_engines_of_another_gpu_are_refused_before_they_are_read(
    engines: Path, manifest: Manifest, tmp_path: Path, here: dict[str, Any], reason: str
) -> None:
    for file in engines.glob("*.engine"):
        file.unlink()
    for executor in (TensorrtStudent, TensorrtDecoder):
        with pytest.raises(EngineError, match=reason):
            executor(engines, manifest, probe_cell=0, folder=tmp_path, toolkit=fake_toolkit(**here))


def test_engines_of_another_student_or_that_were_changed_are_refused(
    engines: Path, toolkit: Toolkit, manifest: Manifest, tmp_path: Path
) -> None:
    other = replace(manifest, geometry=replace(manifest.geometry, num_layers=manifest.geometry.num_layers + 1))
    with pytest.raises(EngineError, match=r"geometry\.num_layers: built for 4, here is 5"):
        TensorrtStudent(engines, other, probe_cell=0, folder=tmp_path, toolkit=toolkit)
    trained_on = replace(manifest, files={**manifest.files, STUDENT_GRAPH: "0" * 64})
    with pytest.raises(EngineError, match=rf"sha256 of {STUDENT_GRAPH}: built for '[0-9a-f]{{64}}', here is '0{{64}}'"):
        TensorrtStudent(engines, trained_on, probe_cell=0, folder=tmp_path, toolkit=toolkit)
    (engines / "student.engine").write_text("{}")
    with pytest.raises(EngineError, match=r"sha256 of student\.engine is not the manifest's"):
        TensorrtStudent(engines, manifest, probe_cell=0, folder=tmp_path, toolkit=toolkit)
    (engines / ENGINE_MANIFEST_FILE).unlink()
    with pytest.raises(FileNotFoundError):
        TensorrtStudent(engines, manifest, probe_cell=0, folder=tmp_path, toolkit=toolkit)


def test_new_keys_and_values_lie_in_their_slots_and_nothing_else_changes(
    student: TensorrtStudent, arena: HostArena, manifest: Manifest
) -> None:
    geometry = manifest.geometry
    state = prefill(student, arena, geometry)
    attached = student._arenas.attach(arena.name)
    block_bytes = arena.layout.student_bytes

    def block() -> np.ndarray:
        return np.frombuffer(ctypes.string_at(attached.address(arena.layout.block_offset(0)), block_bytes), np.uint8)

    chunk, latent = plan_chunk(state), latents(geometry, geometry.chunk_frames)
    before = block()
    run(student, pass_call(arena, chunk.denoise, latent))
    assert np.array_equal(block(), before), "a denoising pass writes nothing"
    run(student, pass_call(arena, chunk.commit, latent))
    changed = np.flatnonzero(block() != before)
    slot, first = arena.layout.slot_bytes, chunk.commit.write_slot
    assert first is not None
    starts = [
        offset - arena.layout.block_offset(0) + first * slot
        for layer in range(geometry.num_layers)
        for offset in (arena.layout.key_offset(0, layer), arena.layout.value_offset(0, layer))
    ]
    within = np.zeros(block_bytes, bool)
    for start in starts:
        within[start : start + geometry.chunk_frames * slot] = True
        written = block()[start : start + geometry.chunk_frames * slot].view(np.float32)
        assert np.count_nonzero(written) > 0.99 * written.size
    assert within[changed].all()


def test_a_first_run_that_failed_is_tried_again_as_it_stands(
    student: TensorrtStudent,
    arena: HostArena,
    manifest: Manifest,
    toolkit: Toolkit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    geometry = manifest.geometry
    call = pass_call(
        arena, plan_chunk(prefill(student, arena, geometry)).denoise, latents(geometry, geometry.chunk_frames)
    )
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(fake_tensorrt._Engine, "create_execution_context", lambda *_: None)
        with pytest.raises(RuntimeError, match=r"TensorRT refuses a context of student\.engine"):
            student.run([call])
    flow = run(student, call)
    assert toolkit.cuda.captures == 0, "TensorRT allocates at the first run, which a capture does not allow"
    assert np.array_equal(flow, run(student, call))
    assert toolkit.cuda.captures == 1


def test_a_decode_without_room_for_its_frames_is_done_once_there_is(
    engines: Path, toolkit: Toolkit, manifest: Manifest, arena: HostArena, tmp_path: Path
) -> None:
    geometry, cuda = manifest.geometry, toolkit.cuda
    decoder = TensorrtDecoder(engines, manifest, probe_cell=1, folder=tmp_path, toolkit=toolkit)
    decoder.probe(arena.name)
    latent, room = latents(geometry, 1), cuda._memory
    call = DecodeCall(arena=arena.name, block=0, latent=latent, read_bank=None, write_bank=0)
    cuda._memory = sum(size for size, _ in cuda.live.values()) + latent.nbytes
    with pytest.raises(CudaError, match="cudaMalloc"):
        decoder.run(call)
    cuda._memory = room
    assert decoder.run(call).any()


def test_a_pass_is_captured_once_for_each_block_profile_and_slot(
    student: TensorrtStudent, arena: HostArena, manifest: Manifest, toolkit: Toolkit
) -> None:
    geometry, cuda = manifest.geometry, toolkit.cuda
    state = prefill(student, arena, geometry)
    plan, latent = plan_chunk(state).denoise, latents(geometry, geometry.chunk_frames)
    assert (cuda.captures, cuda.launched) == (0, 0)
    flows = [run(student, pass_call(arena, plan, latent)) for _ in range(4)]
    assert (cuda.captures, cuda.launched) == (1, 3), "the first of a shape runs as it stands"
    assert all(np.array_equal(flow, flows[0]) for flow in flows)
    prefill(student, arena, geometry, block=1)
    captures = cuda.captures
    for _ in range(2):
        run(student, pass_call(arena, plan, latent, block=1))
    assert cuda.captures == captures + 1, "another block's addresses need a graph of their own"


def test_a_graph_reads_what_each_call_brings(student: TensorrtStudent, arena: HostArena, manifest: Manifest) -> None:
    geometry = manifest.geometry
    plan = plan_chunk(prefill(student, arena, geometry)).denoise
    first, second = (pass_call(arena, plan, latents(geometry, geometry.chunk_frames, seed)) for seed in (1, 2))
    want = [run(student, call) for call in (first, second)]
    assert not np.array_equal(*want)
    assert all(np.array_equal(run(student, call), flow) for call, flow in zip((first, second), want, strict=True))


def test_a_pass_without_a_profile_is_refused_with_those_there_are(
    student: TensorrtStudent, arena: HostArena, manifest: Manifest
) -> None:
    geometry = manifest.geometry
    plan = plan_chunk(prefill(student, arena, geometry)).denoise
    call = pass_call(arena, plan, latents(geometry, geometry.chunk_frames), past_position=np.arange(4))
    (error,) = student.run([call])
    assert isinstance(error, CallError)
    assert str(error).startswith(
        "student.engine has no profile B=1 F=3 S=4, only B=1 F=2 S=0, B=1 F=1 S=1, B=1 F=3 S=2"
    )


def test_passes_and_decodes_go_to_streams_of_their_own(
    student: TensorrtStudent, engines: Path, toolkit: Toolkit, manifest: Manifest, tmp_path: Path
) -> None:
    decoder = TensorrtDecoder(engines, manifest, probe_cell=1, folder=tmp_path, toolkit=toolkit)
    assert student._stream.handle != decoder._stream.handle


def test_memory_of_an_orchestrator_that_is_gone_is_freed_before_the_next_ones_is_taken(
    engines: Path, manifest: Manifest, tmp_path: Path
) -> None:
    layout = ArenaLayout(geometry=manifest.geometry, blocks=3)
    kept = layout.blocks * layout.student_bytes
    toolkit = fake_toolkit()
    student = TensorrtStudent(engines, manifest, probe_cell=0, folder=tmp_path, toolkit=toolkit)
    own = sum(size for size, _ in toolkit.cuda.live.values())
    toolkit.cuda._memory = own + kept + kept // 2  # room for one arena, not for two
    for _ in range(3):
        with HostArena(layout, header_only=True, folder=tmp_path) as arena:
            prefill(student, arena, manifest.geometry)
            assert arena.birth_count(0) == 1
            assert sum(size for size, _ in toolkit.cuda.live.values()) == own + kept
    with HostArena(replace(layout, blocks=9), folder=tmp_path) as large, pytest.raises(CudaError, match="cudaMalloc"):
        student.probe(large.name)


def test_a_decode_of_any_length_leaves_its_caches_in_the_bank(
    engines: Path, toolkit: Toolkit, arena: HostArena, manifest: Manifest, tmp_path: Path
) -> None:
    decoder = TensorrtDecoder(engines, manifest, probe_cell=1, folder=tmp_path, toolkit=toolkit)
    latent = latents(manifest.geometry, 5)
    split = []
    for block, cuts in ((0, [5]), (1, [1, 4])):
        done, bank, frames = 0, None, []
        for count in cuts:
            write_bank = 0 if bank is None else 1 - bank
            frames.append(
                decoder.run(
                    DecodeCall(
                        arena=arena.name,
                        block=block,
                        latent=latent[done : done + count],
                        read_bank=bank,
                        write_bank=write_bank,
                    )
                )
            )
            done, bank = done + count, write_bank
        split.append(np.concatenate(frames))
    assert np.array_equal(*split)


@pytest.mark.parametrize("name", [VAE_ENCODER, TEXT_ENCODER])
def test_encoders_give_what_onnx_runtime_gives(engines: Path, toolkit: Toolkit, manifest: Manifest, name: str) -> None:
    geometry, generator = manifest.geometry, np.random.default_rng(0)
    model = next(model for model in models(geometry) if model.name == name)
    if name == VAE_ENCODER:
        shape = (2, geometry.frame_height, geometry.frame_width, 3)
        request = {"image": generator.integers(0, 256, shape, dtype=np.uint8)}
    else:
        tokens = generator.integers(3, 259, (2, geometry.text_tokens))
        request = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
    (got,) = TensorrtEncoder(engines, manifest, model, toolkit=toolkit).run([request])
    (want,) = OnnxEncoder(REPOSITORY / name / "1" / f"{name}.onnx").run([request])
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_an_executor_without_memory_of_its_own_refuses_an_arena_without_blocks(
    manifest: Manifest, tmp_path: Path
) -> None:
    layout = ArenaLayout(geometry=manifest.geometry, blocks=2)
    with HostArena(layout, header_only=True, folder=tmp_path) as arena:
        student = KINDS["onnxruntime"]().student(manifest.geometry, tmp_path)
        with pytest.raises(CallError, match="holds no blocks, and this executor has no memory of its own"):
            student.probe(arena.name)
