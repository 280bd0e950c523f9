"""Every graph through TensorRT's real parser and real builder, on a machine without a GPU (TensorRT-RTX)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from contract.engine_manifest import Profile
from export.engines.builder import BuildError, ComputeCapability, build
from export.engines.profiles import fitting, input_shapes

DEFAULT_CAPABILITY = (8, 9)
"""The oldest with FP8, and the nearest to 9.0 that TensorRT-RTX builds for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one graph: the size of its engine, or what TensorRT said."""

    graph: str
    profiles: int
    engine_bytes: int = 0
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return self.error
        return f"{self.graph}: parsed and built, profiles: {self.profiles}, engine: {self.engine_bytes:,} bytes"


def capability(text: str, tensorrt: ModuleType) -> ComputeCapability:
    """ "8.9" -> (8, 9); raises ValueError naming those that this library builds for."""
    known = {
        f"{name[2:-1]}.{name[-1]}"
        for name in tensorrt.ComputeCapability.__members__
        if name.removeprefix("SM").isdigit()
    }
    if text not in known:
        raise ValueError(f"--capability {text}: none of {', '.join(sorted(known, key=float))}")
    major, minor = text.split(".")
    return int(major), int(minor)


def check(
    graphs: Iterable[Path], students: Sequence[Profile], *, tensorrt: ModuleType, target: ComputeCapability
) -> Iterator[Finding]:
    """Try each graph, also after one that failed.

    Args:
        students: the student's profiles; other graphs get the sizes they have in common.
    """
    for path in graphs:
        profiles = fitting(students, input_shapes(path))
        try:
            engine = build(path, profiles, tensorrt=tensorrt, target=target)
        except BuildError as error:
            yield Finding(graph=str(path), profiles=len(profiles), error=str(error))
        else:
            yield Finding(graph=str(path), profiles=len(profiles), engine_bytes=len(engine))
