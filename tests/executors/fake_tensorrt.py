# ruff: noqa: N802 -- the names are TensorRT's
"""The part of TensorRT that executors use, computed by ONNX Runtime on the fake device: stands for `tensorrt`.

An "engine" is a line of JSON that names a graph and its profiles. A context is as strict as the real one: every tensor
needs an address aligned to 256 bytes, every input the profile's shape, the context its scratch memory, and no output
may overlap another tensor.
"""

from __future__ import annotations

import ctypes
import itertools
import json
from functools import cache
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from contract.engine_manifest import Engine as ManifestEngine
from contract.engine_manifest import EngineManifest, Machine, Precision, Profile, engine_name, sha256_of
from contract.geometry import StudentGeometry
from contract.tensors import Manifest
from executors.onnx_session import open_session
from executors.tensorrt_engine import Toolkit
from tests.executors.fake_cuda import ALIGNMENT, FakeCuda

VERSION = "11.4.0"
_TYPES = {
    "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8,
}  # fmt: skip
_open_session = cache(open_session)


class FakeTensorrt:
    __version__ = VERSION
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")

    class Logger:
        WARNING = 2

        def __init__(self, level: int) -> None:
            assert level == self.WARNING

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def Runtime(self, _logger: FakeTensorrt.Logger) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=lambda data: _Engine(json.loads(data), self._cuda))


class _Engine:
    device_memory_size_v2 = 4096

    def __init__(self, description: dict[str, Any], cuda: FakeCuda) -> None:
        self.session = _open_session(Path(description["graph"]))
        self.profiles: list[dict[str, list[int]]] = description["profiles"]
        self.cuda = cuda

    def create_execution_context(self, strategy: str) -> _Context:
        assert strategy == "user"
        return _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._profile: int | None = None
        self._scratch = False
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_device_memory(self, pointer: int, size: int) -> None:
        assert size >= self._engine.device_memory_size_v2
        self._engine.cuda.check(pointer, size)
        self._scratch = True

    def set_optimization_profile_async(self, profile: int, _stream: int) -> bool:
        self._profile = profile
        return 0 <= profile < len(self._engine.profiles)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self._profile is not None
        self._shapes[name] = tuple(shape)
        return self._engine.profiles[self._profile][name] == list(shape)

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self._addresses[name] = pointer
        return pointer % ALIGNMENT == 0

    def execute_async_v3(self, stream: int) -> bool:
        session, cuda = self._engine.session, self._engine.cuda
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if not self._scratch or {t.name for t in (*inputs, *outputs)} - set(self._addresses):
            return False
        shapes, addresses = dict(self._shapes), dict(self._addresses)

        def compute() -> None:
            taken = []
            feeds = {}
            for tensor in inputs:
                dtype, shape = np.dtype(_TYPES[tensor.type]), shapes[tensor.name]
                size = prod(shape) * dtype.itemsize
                cuda.check(addresses[tensor.name], size)
                data = ctypes.string_at(addresses[tensor.name], size)
                feeds[tensor.name] = np.frombuffer(data, dtype).reshape(shape)
                taken.append((addresses[tensor.name], size))
            for tensor, result in zip(outputs, session.run(None, feeds), strict=True):
                cuda.check(addresses[tensor.name], result.nbytes)
                ctypes.memmove(addresses[tensor.name], np.ascontiguousarray(result).tobytes(), result.nbytes)
                taken.append((addresses[tensor.name], result.nbytes))
            taken = sorted((start, size) for start, size in taken if size)
            assert all(start + size <= after for (start, size), (after, _) in itertools.pairwise(taken)), "overlap"

        cuda.put(stream, compute)
        return True


def fake_toolkit(**options: Any) -> Toolkit:
    cuda = FakeCuda(**options)
    return Toolkit(tensorrt=FakeTensorrt(cuda), cuda=cuda)


def write_engines(folder: Path, repository: Path, geometry: StudentGeometry, machine: Machine) -> EngineManifest:
    """Engines of every graph of a repository, as the exporter lays them out."""
    sizes = {"student": [{"B": 1, "F": 2, "S": 0}, {"B": 1, "F": 1, "S": 1}]}
    sizes["student"] += [{"B": 1, "F": geometry.chunk_frames, "S": cached} for cached in geometry.attended_lengths()]
    engines = {}
    for graph in sorted(repository.glob("*/1/*.onnx")):
        name = engine_name(graph.relative_to(repository).as_posix())
        profiles = sizes.get(name, [{} if name.startswith("vae_decoder") else {"B": 1}])
        inputs = _open_session(graph).get_inputs()
        file = folder / f"{name}.engine"
        file.write_text(
            json.dumps({"graph": str(graph), "profiles": [_shapes(inputs, size, geometry) for size in profiles]})
        )
        engines[name] = ManifestEngine(
            file=file.name,
            sha256=sha256_of(file),
            profiles=tuple(Profile(sizes=size) for size in profiles),
        )
    manifest = EngineManifest(
        geometry=geometry,
        precision=Precision.FP32,
        machine=machine,
        files=Manifest.read(repository).files,
        engines=engines,
        made={"by": "a test"},
    )
    manifest.write(folder)
    return manifest


def _shapes(inputs: list[onnxruntime.NodeArg], size: dict[str, int], geometry: StudentGeometry) -> dict[str, list[int]]:
    """Shape of each input at a profile's sizes; the student's second dimension counts frames or tokens."""
    shapes = {}
    for tensor in inputs:
        shape = [size.get("B", 1) if isinstance(tensor.shape[0], str) else tensor.shape[0], *tensor.shape[1:]]
        if len(shape) > 1 and isinstance(shape[1], str):
            past = tensor.name.startswith("past_")
            tokens = geometry.tokens_per_frame if tensor.name.startswith(("past_k", "past_v")) else 1
            shape[1] = (size["S"] if past else size["F"]) * tokens
        shapes[tensor.name] = shape
    return shapes
