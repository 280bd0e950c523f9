"""Optimisation profiles: one for each fill of the cache and batch, of exact shapes, as the cache plan makes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from contract.cache_plan import Policy, plan_chunk, plan_start, plan_switch
from contract.engine_manifest import BATCH, CACHED, FRAMES, Profile
from contract.geometry import StudentGeometry

MAX_BATCH = 4
"""What Triton gathers at most (contract.tensors)."""
ALL = "all"
FULL = "full"
PREFILL = "prefill"
GARMENT = "garment"
Shape = tuple[int, ...]

_SYMBOLS = {"batch": BATCH, "frames": FRAMES, "cached": CACHED}
"""What the exporter calls the dimensions that vary (export.graphs)."""
_DIMENSION = re.compile(r"(?:(\d+)\*)?(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One kind of pass.

    Attributes:
        name: as `--profile` takes it.
        frames: latent frames that pass through the network.
        cached: cached latent frames that they attend.
    """

    name: str
    frames: int
    cached: int


def fills(geometry: StudentGeometry) -> tuple[Fill, ...]:
    """Every pass the cache plan can ask for: both prefills, then a chunk at each number of cached frames."""
    start = plan_start(geometry)
    garment = plan_switch(plan_chunk(start.after).after, Policy.REFRESH).condition_pass
    both = start.condition_pass
    chunks = (
        Fill(name=str(cached), frames=geometry.chunk_frames, cached=cached) for cached in geometry.attended_lengths()
    )
    return (
        Fill(name=PREFILL, frames=len(both.positions), cached=both.attended),
        Fill(name=GARMENT, frames=len(garment.positions), cached=garment.attended),
        *chunks,
    )


def profiles(wanted: Iterable[str], geometry: StudentGeometry) -> tuple[Profile, ...]:
    """The student's profiles of `--profile FILL[xBATCH]` options, each once, in the order of filling.

    Raises:
        ValueError: naming the option and what there is to choose from.
    """
    known = {fill.name: fill for fill in fills(geometry)}
    known[FULL] = known[str(geometry.max_attended_frames)]
    chosen: set[tuple[int, int, int]] = set()
    for option in wanted:
        name, times, batch = option.partition("x")
        if name != ALL and name not in known:
            raise ValueError(f"--profile {option}: {name!r} is none of {ALL}, {', '.join(known)}")
        if times and not (batch.isdecimal() and 1 <= int(batch) <= MAX_BATCH):
            raise ValueError(f"--profile {option}: batch {batch!r} is not in [1, {MAX_BATCH}]")
        for fill in known.values() if name == ALL else (known[name],):
            chosen.add((int(batch or 1), fill.cached, fill.frames))
    return tuple(
        Profile(sizes={BATCH: batch, FRAMES: frames, CACHED: cached}) for batch, cached, frames in sorted(chosen)
    )


def fitting(students: Sequence[Profile], inputs: Mapping[str, Sequence[int | str]]) -> tuple[Profile, ...]:
    """Those sizes of the student's profiles that a graph of these inputs has, each combination once."""
    has = {_factor(size)[1] for shape in inputs.values() for size in shape if isinstance(size, str)}
    found = {tuple((name, size) for name, size in profile.sizes.items() if name in has): None for profile in students}
    return tuple(Profile(sizes=dict(sizes)) for sizes in found)


def shapes(profile: Profile, inputs: Mapping[str, Sequence[int | str]]) -> dict[str, Shape]:
    """The exact shape of every input under a profile."""

    def size_of(size: int | str) -> int:
        if isinstance(size, int):
            return size
        factor, name = _factor(size)
        return factor * profile.sizes[name]

    return {name: tuple(size_of(size) for size in shape) for name, shape in inputs.items()}


def input_shapes(path: Path) -> dict[str, list[int | str]]:
    """A graph's inputs with their shapes, dimensions that vary by name, without reading its weights.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no graph, or a dimension varies that no profile speaks of.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no graph {path}")
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except DecodeError as error:
        raise ValueError(f"{path} is not an ONNX graph") from error
    found = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in graph.input
    }
    for name, shape in found.items():
        for size in shape:
            if isinstance(size, str) and _factor(size)[1] not in _SYMBOLS.values():
                raise ValueError(f"{path}: input {name} has a dimension {size!r}, known are {', '.join(_SYMBOLS)}")
    return found


def _factor(size: str) -> tuple[int, str]:
    """ "24*cached" -> (24, CACHED)."""
    match = _DIMENSION.fullmatch(size)
    factor, symbol = match.groups() if match else (None, size)
    return int(factor or 1), _SYMBOLS.get(symbol, symbol)
