"""Graphs to a folder of engines: each built, compared where a reference is at hand, and only then sealed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from polygraphy.backend.base import BaseRunner

from contract.engine_manifest import (
    ENGINE_SUFFIX,
    Engine,
    EngineError,
    EngineManifest,
    Machine,
    Precision,
    Profile,
    engine_name,
)
from contract.tensors import STUDENT, Manifest
from export.engines.accuracy import BOUNDS_DB, Arrays, Comparison, compare, reference_runner
from export.engines.builder import ComputeCapability, build
from export.engines.profiles import fitting, input_shapes

ACCURACY_FILE = "accuracy.json"
TIMING_CACHE_FILE = "timing.cache"
Feed = Callable[[str, Mapping[str, int]], Arrays]
"""Path of a graph within its repository and sizes -> inputs in float32."""


class AccuracyError(RuntimeError):
    """Engines that compute something else than their reference; one line for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What engines are compared with.

    Attributes:
        root: model repository with the same student's graphs in float32.
        feed: draws inputs.
        runner: opens an engine under one of its profiles.
    """

    root: Path
    feed: Feed
    runner: Callable[[Path, int], BaseRunner]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build.

    Attributes:
        graphs: path within the model repository -> file, in the types to compute in.
        repository: manifest of what shall be served with the engines.
        profiles: the student's; other graphs get the sizes they have in common.
        target: see `builder.build`.
        reference: None: nothing is compared, and the manifest says so.
        made: for the manifest.
    """

    graphs: Mapping[str, Path]
    repository: Manifest
    precision: Precision
    profiles: Sequence[Profile]
    tensorrt: ModuleType
    machine: Machine
    target: ComputeCapability | None = None
    reference: Reference | None = None
    made: Mapping[str, Any]


def make(order: Order, out: Path) -> Iterator[str]:
    """Build everything, then write the report and, last, the manifest, without which no executor loads the folder.

    Engines that lie there already are served on until then: files have names of their own, and the manifest changes at
    once. Then the old ones go, as the new ones do if they are refused.

    Yields:
        A line on each engine and each comparison.

    Raises:
        FileNotFoundError, ValueError, BuildError: as `builder.build`.
        AccuracyError: an engine is beyond its bound; there is a report, and no new manifest.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield from _make(order, out)
    finally:
        _tidy(out)


def _make(order: Order, out: Path) -> Iterator[str]:
    engines: dict[str, Engine] = {}
    found: list[Comparison] = []
    for graph, path in order.graphs.items():
        name = engine_name(graph)
        engine = _build(order, path, name, out)
        engines[name] = engine
        yield f"{name}: {(out / engine.file).stat().st_size:,} bytes, profiles: {', '.join(map(str, engine.profiles))}"
        for comparison in _comparisons(order, graph, engine, out):
            found.append(comparison)
            yield str(comparison)
    _write_report(out, order, found)
    if failed := [str(comparison) for comparison in found if not comparison.passed]:
        raise AccuracyError("\n".join(failed))
    compared = "not compared" if order.reference is None else f"within bounds, see {ACCURACY_FILE}"
    manifest = EngineManifest(
        geometry=order.repository.geometry,
        precision=order.precision,
        machine=order.machine,
        files=order.repository.files,
        engines=engines,
        made={**order.made, "accuracy": compared},
    )
    yield f"{manifest.write(out)}: {len(engines)} engines for {order.machine.gpu}, accuracy {compared}"


def _tidy(out: Path) -> None:
    """Remove engines that no manifest names, or one that is not read any more."""
    try:
        kept = {engine.file for engine in EngineManifest.read(out).engines.values()}
    except (FileNotFoundError, EngineError):
        kept = set()
    for file in out.glob(f"*{ENGINE_SUFFIX}"):
        if file.name not in kept:
            file.unlink()


def _build(order: Order, graph: Path, name: str, out: Path) -> Engine:
    profiles = fitting(order.profiles, input_shapes(graph))
    # TensorRT-RTX, which builds for another GPU than the one at hand, measures nothing that could be kept.
    timing_cache = out / TIMING_CACHE_FILE if order.target is None else None
    built = build(graph, profiles, tensorrt=order.tensorrt, target=order.target, timing_cache=timing_cache)
    digest = hashlib.sha256(built).hexdigest()
    file = f"{name}.{digest[:16]}{ENGINE_SUFFIX}"
    (out / file).write_bytes(built)
    return Engine(file=file, sha256=digest, profiles=profiles)


def _comparisons(order: Order, graph: str, engine: Engine, out: Path) -> Iterator[Comparison]:
    if order.reference is None:
        return
    # FP8 rounds the student's linears and nothing else.
    rounded = order.precision is Precision.FP8 and engine_name(graph) != STUDENT
    bound = BOUNDS_DB[Precision.BF16 if rounded else order.precision]
    reference = reference_runner(order.reference.root / graph)
    for index, profile in enumerate(engine.profiles):
        yield compare(
            reference,
            order.reference.runner(out / engine.file, index),
            order.reference.feed(graph, profile.sizes),
            name=engine_name(graph),
            profile=str(profile),
            bound_db=bound,
        )


def _write_report(out: Path, order: Order, found: Sequence[Comparison]) -> None:
    report = {
        "reference": None if order.reference is None else "ONNX Runtime, float32, CPU",
        "precision": order.precision.value,
        "machine": asdict(order.machine),
        "comparisons": [{**asdict(one), "passed": one.passed} for one in found],
    }
    (out / ACCURACY_FILE).write_text(json.dumps(report, indent=2) + "\n")
