"""What lies in a folder of TensorRT engines, and whether the machine at hand may load it.

A folder holds `engines.json` and beside it one file for each engine. An engine belongs to the TensorRT version, the GPU
and the model repository it was built from, whose weights are in it: anything else is refused before a byte is loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from contract.geometry import StudentGeometry
from contract.tensors import Manifest

ENGINE_MANIFEST_FILE = "engines.json"
ENGINE_MANIFEST_VERSION = 2
ENGINE_SUFFIX = ".engine"

BATCH, FRAMES, CACHED = "B", "F", "S"
"""Keys of a profile's sizes: sessions in the batch, latent frames of the pass, cached latent frames attended."""

_T = TypeVar("_T")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class EngineError(ValueError):
    """An engine folder that must not be loaded here; the message has one line for each reason."""


class Precision(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"
    FP8 = "fp8"
    """Linears of attention and feed-forward in static FP8, everything else as in bf16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What an engine is bound to.

    Attributes:
        tensorrt: `tensorrt.__version__`, all of it: engines do not load under another version.
        gpu: the device's name as CUDA reports it.
        compute_capability: "9.0".
    """

    tensorrt: str
    gpu: str
    compute_capability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One optimisation profile: minimum, optimum and maximum are the same shapes, those of `sizes`.

    Attributes:
        sizes: `BATCH`, `FRAMES`, `CACHED`, as far as the graph has them; empty for a graph of static shapes.
    """

    sizes: Mapping[str, int]

    def __post_init__(self) -> None:
        for name, size in self.sizes.items():
            least = {BATCH: 1, FRAMES: 1, CACHED: 0}.get(name)
            if least is None:
                raise ValueError(f"sizes: {name!r} is none of {BATCH}, {FRAMES}, {CACHED}")
            if type(size) is not int or size < least:
                raise ValueError(f"sizes: {name} must be a whole number, {least} at least, got {size!r}")

    def __str__(self) -> str:
        return " ".join(f"{name}={size}" for name, size in self.sizes.items()) or "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine file.

    Attributes:
        file: name within the folder.
        sha256: of the file.
        profiles: in the order of TensorRT's profile indices.
    """

    file: str
    sha256: str
    profiles: tuple[Profile, ...]

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.file):
            raise ValueError(f"file: {self.file!r} is not the plain name of a file")
        if not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"sha256: {self.sha256!r} is not 64 lower-case hexadecimal digits")
        if not self.profiles:
            raise ValueError("profiles: at least one is needed")

    def profile_index(self, **sizes: int) -> int:
        """TensorRT's index of the profile of exactly these sizes.

        Raises:
            ValueError: there is none; names those there are.
        """
        for index, profile in enumerate(self.profiles):
            if profile.sizes == sizes:
                return index
        there = ", ".join(str(profile) for profile in self.profiles)
        raise ValueError(f"{self.file} has no profile {Profile(sizes=sizes)}, only {there}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineManifest:
    """All engines of a student, built together.

    Attributes:
        files: of the model repository they were built from, as its manifest has them: path -> sha256.
        engines: by the graph's name, see `engine_name`.
        made: how they came to be (command, accuracy), for people.
    """

    geometry: StudentGeometry
    precision: Precision
    machine: Machine
    files: Mapping[str, str]
    engines: Mapping[str, Engine]
    made: Mapping[str, Any]

    def engine(self, name: str) -> Engine:
        """The engine of a graph; raises EngineError if the folder has none."""
        if name not in self.engines:
            raise EngineError(f"there is no engine {name!r}, only {', '.join(self.engines)}")
        return self.engines[name]

    def to_json(self) -> dict[str, Any]:
        return {
            "version": ENGINE_MANIFEST_VERSION,
            "geometry": self.geometry.to_json(),
            "precision": self.precision.value,
            "tensorrt": self.machine.tensorrt,
            "gpu": self.machine.gpu,
            "compute_capability": self.machine.compute_capability,
            "files": dict(self.files),
            "engines": {
                name: {
                    "file": engine.file,
                    "sha256": engine.sha256,
                    "profiles": [dict(profile.sizes) for profile in engine.profiles],
                }
                for name, engine in self.engines.items()
            },
            "made": dict(self.made),
        }

    @classmethod
    def from_json(cls, data: Any) -> EngineManifest:
        """Read what `to_json` wrote; raises EngineError that names the field at fault."""
        _typed(data, "the manifest", dict)
        if data.get("version") != ENGINE_MANIFEST_VERSION:
            raise EngineError(f"engine manifest version {data.get('version')!r} is not {ENGINE_MANIFEST_VERSION}")
        precision = _text(data, "precision")
        if precision not in set(Precision):
            raise EngineError(f"precision: {precision!r} is none of {', '.join(Precision)}")
        engines = _get(data, "engines", dict)
        return cls(
            geometry=_made(lambda: StudentGeometry.from_json(_get(data, "geometry", dict)), "geometry"),
            precision=Precision(precision),
            machine=Machine(
                tensorrt=_text(data, "tensorrt"),
                gpu=_text(data, "gpu"),
                compute_capability=_text(data, "compute_capability"),
            ),
            files={name: _typed(digest, f"files.{name}", str) for name, digest in _get(data, "files", dict).items()},
            engines={name: _engine(_typed(entry, name, dict), name) for name, entry in engines.items()},
            made=_get(data, "made", dict),
        )

    @classmethod
    def read(cls, folder: Path) -> EngineManifest:
        """The manifest of a folder of engines; raises FileNotFoundError or EngineError."""
        path = folder / ENGINE_MANIFEST_FILE
        try:
            return cls.from_json(json.loads(path.read_text()))
        except json.JSONDecodeError as error:
            raise EngineError(f"{path} is not JSON: {error}") from error
        except EngineError as error:
            raise EngineError(f"{path}: {error}") from error

    def write(self, folder: Path) -> Path:
        """At once: whoever reads meanwhile finds the old one or this one."""
        path = folder / ENGINE_MANIFEST_FILE
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.to_json(), indent=2) + "\n")
        return unfinished.replace(path)

    def mismatches(self, *, machine: Machine, repository: Manifest) -> tuple[str, ...]:
        """Why these engines are not for this machine and this repository, field by field; empty if they are."""
        built, here = self.geometry.to_json(), repository.geometry.to_json()
        pairs = [
            ("tensorrt", self.machine.tensorrt, machine.tensorrt),
            ("gpu", self.machine.gpu, machine.gpu),
            ("compute_capability", self.machine.compute_capability, machine.compute_capability),
            *((f"geometry.{field}", built[field], here[field]) for field in here),
            *(
                (f"sha256 of {name}", self.files.get(name), repository.files.get(name))
                for name in sorted({*self.files, *repository.files})
            ),
        ]
        return tuple(f"{field}: built for {one!r}, here is {other!r}" for field, one, other in pairs if one != other)

    def verify(self, folder: Path, *, machine: Machine, repository: Manifest) -> None:
        """Refuse engines built for something else, or files that are not those that were built.

        Args:
            repository: what is to be served.

        Raises:
            EngineError: one line for each reason.
        """
        found = list(self.mismatches(machine=machine, repository=repository))
        if not found:  # only then: reading 10 GB takes seconds
            found = [reason for engine in self.engines.values() if (reason := _file_reason(folder, engine))]
        if found:
            raise EngineError("\n".join(f"{folder}: {reason}" for reason in found))


def engine_name(graph_path: str) -> str:
    """The name in `EngineManifest.engines` of a graph in the model repository.

    "student/1/student.onnx" -> "student", "vae_decoder/1/first.onnx" -> "vae_decoder.first".
    """
    model, _, file = graph_path.split("/")
    stem = file.removesuffix(".onnx")
    return model if stem == model else f"{model}.{stem}"


def sha256_of(path: Path) -> str:
    """Of a file of any size, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_reason(folder: Path, engine: Engine) -> str | None:
    path = folder / engine.file
    if not path.is_file():
        return f"{engine.file} is missing"
    return None if sha256_of(path) == engine.sha256 else f"sha256 of {engine.file} is not the manifest's"


def _engine(data: Any, name: str) -> Engine:
    profiles = _get(data, "profiles", list)
    return _made(
        lambda: Engine(
            file=_text(data, "file"),
            sha256=_text(data, "sha256"),
            profiles=tuple(Profile(sizes=_typed(sizes, "profiles", dict)) for sizes in profiles),
        ),
        f"engines.{name}",
    )


def _made(make: Callable[[], _T], where: str) -> _T:
    try:
        return make()
    except (TypeError, ValueError) as error:  # a list where a number belongs is a TypeError
        raise EngineError(f"{where}: {error}") from error


def _text(data: Mapping[str, Any], name: str) -> str:
    text: str = _get(data, name, str)
    return text


def _get(data: Mapping[str, Any], name: str, kind: type) -> Any:
    if name not in data:
        raise EngineError(f"{name} is missing")
    return _typed(data[name], name, kind)


def _typed(value: Any, name: str, kind: type) -> Any:
    if not isinstance(value, kind):
        raise EngineError(f"{name} must be a {kind.__name__}, got {value!r}")
    return value
