"""An arena of the embedded student's layout in a folder of its own, and every kind of executor over it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contract.arena_layout import ArenaLayout
from contract.geometry import StudentGeometry
from contract.tensors import Manifest
from executors.base import DecoderExecutor, StudentExecutor
from executors.host_arena import HostArenas
from executors.onnx_decoder import OnnxDecoder
from executors.onnx_student import OnnxStudent
from executors.tensorrt_decoder import TensorrtDecoder
from executors.tensorrt_engine import Toolkit
from executors.tensorrt_student import TensorrtStudent
from service.engine.arena import HostArena
from tests.executors.fake_tensorrt import fake_toolkit, write_engines

REPOSITORY = Path(__file__).parents[2] / "model_repository"


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return Manifest.read(REPOSITORY)


@pytest.fixture
def arena(manifest: Manifest, tmp_path: Path) -> Iterator[HostArena]:
    with HostArena(ArenaLayout(geometry=manifest.geometry, blocks=2), folder=tmp_path) as arena:
        yield arena


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How executors of one kind are opened over arenas in a folder, on which hardware.

    Attributes:
        tolerance: largest difference of a flow from ONNX Runtime's on the CPU.
    """

    student: Callable[[StudentGeometry, Path], StudentExecutor]
    decoder: Callable[[StudentGeometry, Path], DecoderExecutor]
    tolerance: float


def _onnx_student(geometry: StudentGeometry, folder: Path) -> StudentExecutor:
    arenas = HostArenas(geometry, folder)
    return OnnxStudent(REPOSITORY / "student" / "1", geometry, probe_cell=0, arenas=arenas)


def _onnx_decoder(geometry: StudentGeometry, folder: Path) -> DecoderExecutor:
    arenas = HostArenas(geometry, folder)
    return OnnxDecoder(REPOSITORY / "vae_decoder" / "1", geometry, probe_cell=1, arenas=arenas)


@cache
def _nano(device: str) -> tuple[Any, Any]:
    """The networks whose graphs lie in the model repository."""
    from student import nano

    student = nano.load()
    return student.network.to(device), student.vae.to(device)


def _torch(device: str, tolerance: float) -> Kind:
    def student(geometry: StudentGeometry, folder: Path) -> StudentExecutor:
        from executors.torch_student import TorchStudent

        return TorchStudent(_nano(device)[0], geometry, probe_cell=0, folder=folder)

    def decoder(geometry: StudentGeometry, folder: Path) -> DecoderExecutor:
        from executors.torch_decoder import TorchDecoder

        return TorchDecoder(_nano(device)[1], geometry, probe_cell=1, folder=folder)

    return Kind(student=student, decoder=decoder, tolerance=tolerance)


def _torch_on_a_gpu() -> Kind:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU and a PyTorch built for it")
    return _torch("cuda", tolerance=2e-3)


def _repository(geometry: StudentGeometry) -> Manifest:
    return replace(Manifest.read(REPOSITORY), geometry=geometry)


def _tensorrt(toolkit: Toolkit, engines: Path | None, tolerance: float) -> Kind:
    def folder_of(geometry: StudentGeometry, folder: Path) -> Path:
        made = engines or folder / "engines"
        if not made.exists():
            made.mkdir()
            write_engines(made, REPOSITORY, geometry, toolkit.machine())
        return made

    def student(geometry: StudentGeometry, folder: Path) -> StudentExecutor:
        repository = _repository(geometry)
        return TensorrtStudent(folder_of(geometry, folder), repository, probe_cell=0, folder=folder, toolkit=toolkit)

    def decoder(geometry: StudentGeometry, folder: Path) -> DecoderExecutor:
        repository = _repository(geometry)
        return TensorrtDecoder(folder_of(geometry, folder), repository, probe_cell=1, folder=folder, toolkit=toolkit)

    return Kind(student=student, decoder=decoder, tolerance=tolerance)


def _tensorrt_on_a_gpu() -> Kind:
    engines = os.environ.get("CHAMELEON_ENGINES")
    try:
        toolkit = Toolkit.installed()
    except ImportError as error:
        pytest.skip(str(error))
    if engines is None:
        pytest.skip("needs CHAMELEON_ENGINES, a folder of the embedded student's engines built on this machine's GPU")
    return _tensorrt(toolkit, Path(engines), tolerance=2e-3)


KINDS: dict[str, Callable[[], Kind]] = {
    "onnxruntime": lambda: Kind(student=_onnx_student, decoder=_onnx_decoder, tolerance=0.0),
    "torch": lambda: _torch("cpu", tolerance=1e-4),
    "tensorrt-fake": lambda: _tensorrt(fake_toolkit(), None, tolerance=0.0),
    "torch-gpu": _torch_on_a_gpu,
    "tensorrt-gpu": _tensorrt_on_a_gpu,
}


@pytest.fixture(params=[*KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]()


@pytest.fixture
def student(kind: Kind, manifest: Manifest, tmp_path: Path) -> StudentExecutor:
    return kind.student(manifest.geometry, tmp_path)


@pytest.fixture
def decoder(kind: Kind, manifest: Manifest, tmp_path: Path) -> DecoderExecutor:
    return kind.decoder(manifest.geometry, tmp_path)
