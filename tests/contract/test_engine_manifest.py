"""Engines are loaded only where they belong, and what is wrong with a folder of them is said field by field."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.engine_manifest import (
    BATCH,
    CACHED,
    ENGINE_MANIFEST_FILE,
    FRAMES,
    Engine,
    EngineError,
    EngineManifest,
    Machine,
    Precision,
    Profile,
    engine_name,
    sha256_of,
)
from contract.geometry import WAN_5B
from contract.schedule import DenoisingSchedule
from contract.tensors import Manifest

H200 = Machine(tensorrt="11.4.0.106", gpu="NVIDIA H200", compute_capability="9.0")
REPOSITORY = Manifest(
    geometry=WAN_5B,
    schedule=DenoisingSchedule(),
    tokenizer="tokenizer.json",
    files={"student/1/student.onnx": "a", "student/1/weights.bin": "b"},
    made={},
)
FILLS = tuple(Profile(sizes={BATCH: 1, FRAMES: 3, CACHED: cached}) for cached in WAN_5B.attended_lengths())

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
profiles = st.builds(
    Profile,
    sizes=st.fixed_dictionaries(
        {BATCH: st.integers(1, 8)}, optional={FRAMES: st.integers(1, 9), CACHED: st.integers(0, 99)}
    ),
)
engines = st.builds(
    Engine,
    file=st.text("Az09._-").map("x".__add__),
    sha256=digests,
    profiles=st.lists(profiles, min_size=1, max_size=3).map(tuple),
)
manifests = st.builds(
    EngineManifest,
    geometry=st.just(WAN_5B),
    precision=st.sampled_from(Precision),
    machine=st.builds(Machine, tensorrt=st.text(), gpu=st.text(), compute_capability=st.text()),
    files=st.dictionaries(st.text(), digests, max_size=3),
    engines=st.dictionaries(st.text(), engines, max_size=3),
    made=st.dictionaries(st.text(), st.integers() | st.text()),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a build leaves it."""
    (tmp_path / "student.engine").write_bytes(b"engine")
    engine = Engine(
        file="student.engine",
        sha256=sha256_of(tmp_path / "student.engine"),
        profiles=(Profile(sizes={BATCH: 1, FRAMES: 2, CACHED: 0}), *FILLS),
    )
    manifest = EngineManifest(
        geometry=WAN_5B,
        precision=Precision.FP8,
        machine=H200,
        files=REPOSITORY.files,
        engines={"student": engine},
        made={"seed": 1},
    )
    manifest.write(tmp_path)
    return tmp_path


@given(manifest=manifests)
def test_a_manifest_survives_json(manifest: EngineManifest) -> None:
    assert EngineManifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_engines_are_accepted_where_they_were_built(folder: Path) -> None:
    EngineManifest.read(folder).verify(folder, machine=H200, repository=REPOSITORY)


@pytest.mark.parametrize(
    ("machine", "repository", "reasons"),
    [
        ({"tensorrt": "11.5.0.2"}, {}, ["tensorrt: built for '11.4.0.106', here is '11.5.0.2'"]),
        ({"gpu": "NVIDIA H100"}, {}, ["gpu: built for 'NVIDIA H200', here is 'NVIDIA H100'"]),
        (
            {},
            {"files": {"student/1/student.onnx": "a", "vae_encoder/1/weights.bin": "c"}},
            [
                "sha256 of student/1/weights.bin: built for 'b', here is None",
                "sha256 of vae_encoder/1/weights.bin: built for None, here is 'c'",
            ],
        ),
        ({}, {"files": {"student/1/student.onnx": "a", "student/1/weights.bin": "c"}}, ["weights.bin: built for 'b'"]),
        ({}, {"geometry": replace(WAN_5B, latent_width=30)}, ["geometry.latent_width: built for 44, here is 30"]),
        (
            {"gpu": "NVIDIA L4", "compute_capability": "8.9"},
            {"geometry": replace(WAN_5B, recent_frames=9)},
            ["gpu", "compute_capability", "geometry.recent_frames"],
        ),
    ],
)
def test_foreign_engines_are_refused_with_every_field_that_differs(
    folder: Path, machine: dict[str, str], repository: dict[str, Any], reasons: list[str]
) -> None:
    with pytest.raises(EngineError) as refused:
        EngineManifest.read(folder).verify(
            folder, machine=replace(H200, **machine), repository=replace(REPOSITORY, **repository)
        )
    lines = str(refused.value).splitlines()
    assert len(lines) == len(reasons)
    assert all(reason in line for reason, line in zip(reasons, lines, strict=True))


def test_a_changed_or_missing_engine_is_refused_by_name(folder: Path) -> None:
    manifest = EngineManifest.read(folder)
    (folder / "student.engine").write_bytes(b"another")
    with pytest.raises(EngineError, match=r"sha256 of student\.engine"):
        manifest.verify(folder, machine=H200, repository=REPOSITORY)
    (folder / "student.engine").unlink()
    with pytest.raises(EngineError, match=r"student\.engine is missing"):
        manifest.verify(folder, machine=H200, repository=REPOSITORY)


def test_a_profile_is_found_by_exactly_its_sizes(folder: Path) -> None:
    engine = EngineManifest.read(folder).engine("student")
    assert [engine.profile_index(B=1, F=3, S=cached) for cached in WAN_5B.attended_lengths()] == list(range(1, 8))
    assert engine.profile_index(S=0, B=1, F=2) == 0
    with pytest.raises(ValueError, match=r"no profile B=2 F=3 S=20, only B=1 F=2 S=0, B=1 F=3 S=2, "):
        engine.profile_index(B=2, F=3, S=20)


def test_a_graph_without_varying_sizes_has_one_profile() -> None:
    engine = Engine(file="a.engine", sha256="0" * 64, profiles=(Profile(sizes={}),))
    assert engine.profile_index() == 0
    assert str(engine.profiles[0]) == "static"


def test_an_engine_that_was_not_built_is_told_by_name(folder: Path) -> None:
    with pytest.raises(EngineError, match="no engine 'vae_encoder', only student"):
        EngineManifest.read(folder).engine("vae_encoder")


def _student(data: dict[str, Any]) -> dict[str, Any]:
    engine: dict[str, Any] = data["engines"]["student"]
    return engine


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data.update(version=7), "version 7 is not 2"),
        (lambda data: data.pop("gpu"), "gpu is missing"),
        (lambda data: data.update(tensorrt=11), "tensorrt must be a str, got 11"),
        (lambda data: data.update(precision="int4"), "precision: 'int4' is none of fp32, bf16, fp8"),
        (lambda data: data["geometry"].pop("dim"), "geometry: incomplete geometry"),
        (lambda data: data["geometry"].update(decoder_cache_shapes=3), "geometry: "),
        (lambda data: data.update(engines=[]), "engines must be a dict"),
        (lambda data: data["engines"].update(student="x"), "student must be a dict"),
        (lambda data: _student(data).update(file="../student.engine"), "engines.student: file: '../student.engine'"),
        (lambda data: _student(data).update(sha256="00"), "sha256: '00' is not 64"),
        (lambda data: data.update(files=["a"]), "files must be a dict"),
        (lambda data: data["files"].update(a=1), "files.a must be a str, got 1"),
        (lambda data: _student(data).update(profiles=[]), "profiles: at least one"),
        (lambda data: _student(data).update(profiles=[3]), "profiles must be a dict, got 3"),
        (lambda data: _student(data).update(profiles=[{"B": 0}]), "sizes: B must be a whole number, 1 at least, got 0"),
        (lambda data: _student(data).update(profiles=[{"S": True}]), "sizes: S must be a whole number"),
        (lambda data: _student(data).update(profiles=[{"T": 1}]), "sizes: 'T' is none of B, F, S"),
    ],
)
def test_a_spoilt_manifest_is_refused_with_its_path_and_the_field(
    folder: Path, spoil: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = folder / ENGINE_MANIFEST_FILE
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(EngineError) as refused:
        EngineManifest.read(folder)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


def test_what_is_no_json_or_no_object_is_refused(folder: Path) -> None:
    (folder / ENGINE_MANIFEST_FILE).write_text("{")
    with pytest.raises(EngineError, match="not JSON"):
        EngineManifest.read(folder)
    (folder / ENGINE_MANIFEST_FILE).write_text("[]")
    with pytest.raises(EngineError, match="must be a dict"):
        EngineManifest.read(folder)
    (folder / ENGINE_MANIFEST_FILE).unlink()
    with pytest.raises(FileNotFoundError):
        EngineManifest.read(folder)


def test_engines_are_named_after_their_graphs() -> None:
    assert engine_name("student/1/student.onnx") == "student"
    assert engine_name("vae_decoder/1/first.onnx") == "vae_decoder.first"
