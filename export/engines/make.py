"""Graphs to a folder of engines: each built, compared where a reference is at hand, and only then sealed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from polygraphy.backend.base import BaseRunner

from contract.engine_manifest import (
    ENGINE_MANIFEST_FILE,
    ENGINE_SUFFIX,
    Engine,
    EngineManifest,
    Machine,
    Precision,
    Profile,
    engine_name,
    sha256_of,
)
from contract.geometry import StudentGeometry
from contract.tensors import STUDENT
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
        profiles: the student's; other graphs get the sizes they have in common.
        target: see `builder.build`.
        reference: None: nothing is compared, and the manifest says so.
        made: for the manifest.
    """

    graphs: Mapping[str, Path]
    geometry: StudentGeometry
    precision: Precision
    profiles: Sequence[Profile]
    tensorrt: ModuleType
    machine: Machine
    target: ComputeCapability | None = None
    reference: Reference | None = None
    made: Mapping[str, Any]


def make(order: Order, out: Path) -> Iterator[str]:
    """Build everything, then write the report and, last, the manifest, without which no executor loads the folder.

    Yields:
        A line on each engine and each comparison.

    Raises:
        FileNotFoundError, ValueError, BuildError: as `builder.build`.
        AccuracyError: an engine is beyond its bound; there is a report, and no manifest.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / ENGINE_MANIFEST_FILE).unlink(missing_ok=True)  # it would speak of engines that are about to go
    engines: dict[str, Engine] = {}
    found: list[Comparison] = []
    for graph, path in order.graphs.items():
        name = engine_name(graph)
        engine = _build(order, path, out / f"{name}{ENGINE_SUFFIX}")
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
        geometry=order.geometry,
        precision=order.precision,
        machine=order.machine,
        engines=engines,
        made={**order.made, "accuracy": compared},
    )
    yield f"{manifest.write(out)}: {len(engines)} engines for {order.machine.gpu}, accuracy {compared}"


def _build(order: Order, graph: Path, target: Path) -> Engine:
    profiles = fitting(order.profiles, input_shapes(graph))
    # TensorRT-RTX, which builds for another GPU than the one at hand, measures nothing that could be kept.
    timing_cache = target.parent / TIMING_CACHE_FILE if order.target is None else None
    built = build(graph, profiles, tensorrt=order.tensorrt, target=order.target, timing_cache=timing_cache)
    target.write_bytes(built)
    return Engine(file=target.name, sha256=sha256_of(target), graph_sha256=sha256_of(graph), profiles=profiles)


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
