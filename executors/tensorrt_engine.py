"""A TensorRT engine as executors run it: a context for each profile, tensors at addresses that the caller names.

One context for each profile, because a captured graph belongs to the context's shapes. All contexts work in one piece
of scratch memory, sized for the largest: an executor runs one thing at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.engine_manifest import EngineManifest, Machine
from contract.tensors import Manifest
from executors.arena_file import Range
from executors.base import CallError
from executors.cuda import CudaError, CudaStream, cuda_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """TensorRT's Python module and the CUDA runtime's: handed in, so that tests may hand in others."""

    tensorrt: Any
    cuda: Any

    @classmethod
    def installed(cls) -> Toolkit:
        """Raises ImportError that says what to install."""
        try:
            import tensorrt
        except ImportError as error:
            raise ImportError("the TensorRT executors need NVIDIA's TensorRT with its Python module") from error
        return cls(tensorrt=tensorrt, cuda=cuda_runtime())

    def machine(self) -> Machine:
        """What engines must have been built for to be loaded here. Raises CudaError without a GPU."""
        error, properties = self.cuda.cudaGetDeviceProperties(0)
        if int(error):
            raise CudaError(f"cudaGetDeviceProperties: {error}")
        name = properties.name
        return Machine(
            tensorrt=self.tensorrt.__version__,
            gpu=name.decode() if isinstance(name, bytes) else name,
            compute_capability=f"{properties.major}.{properties.minor}",
        )


class EngineFolder:
    """Engines that were verified to belong here."""

    def __init__(self, folder: Path, repository: Manifest, toolkit: Toolkit) -> None:
        """
        Raises:
            EngineError: they were built for another TensorRT, GPU or repository, or are not those of the manifest.
            FileNotFoundError: there is no manifest.
        """
        self._manifest = EngineManifest.read(folder)
        self._manifest.verify(folder, machine=toolkit.machine(), repository=repository)
        self._folder = folder
        self._toolkit = toolkit

    def open(self, name: str, stream: CudaStream) -> Engine:
        return Engine(self._folder, self._manifest, name, self._toolkit.tensorrt, stream)


class Engine:
    """One engine on one stream."""

    def __init__(self, folder: Path, manifest: EngineManifest, name: str, tensorrt: Any, stream: CudaStream) -> None:
        """Raises EngineError if the folder has no such engine, RuntimeError if TensorRT does not take it."""
        self._entry = manifest.engine(name)
        self._stream = stream
        self._tensorrt = tensorrt
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        self._engine = runtime.deserialize_cuda_engine((folder / self._entry.file).read_bytes())
        if self._engine is None:
            raise RuntimeError(f"TensorRT does not load {folder / self._entry.file}; its log says why")
        self._scratch_bytes = self._engine.device_memory_size_v2
        self._scratch = stream.allocate(max(1, self._scratch_bytes))
        self._contexts: dict[int, Any] = {}

    def profile(self, **sizes: int) -> int:
        """Index of the profile of exactly these sizes. Raises CallError if there is none, naming those there are."""
        try:
            return self._entry.profile_index(**sizes)
        except ValueError as error:
            raise CallError(str(error)) from error

    def enqueue(self, profile: int, inputs: Mapping[str, Range], outputs: Mapping[str, Range]) -> None:
        """Put one run on the stream. Shapes are the whole tensors', with the batch.

        Raises:
            RuntimeError: TensorRT refuses; its log says why.
        """
        context = self._context(profile)
        for name, range_ in inputs.items():
            _taken(context.set_input_shape(name, range_.shape), f"shape {range_.shape} of {name}")
        for name, range_ in (*inputs.items(), *outputs.items()):
            _taken(context.set_tensor_address(name, range_.pointer), f"address of {name}")
        _taken(context.execute_async_v3(self._stream.handle), f"a run of {self._entry.file}")

    def _context(self, profile: int) -> Any:
        if profile not in self._contexts:
            strategy = self._tensorrt.ExecutionContextAllocationStrategy.USER_MANAGED
            context = self._engine.create_execution_context(strategy)
            _taken(context is not None, f"a context of {self._entry.file}")
            context.set_device_memory(self._scratch.pointer, self._scratch_bytes)
            _taken(context.set_optimization_profile_async(profile, self._stream.handle), f"profile {profile}")
            self._contexts[profile] = context
        return self._contexts[profile]


def _taken(accepted: bool, what: str) -> None:
    if not accepted:
        raise RuntimeError(f"TensorRT refuses {what}; its log says why")
