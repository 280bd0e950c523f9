"""`python -m benchmarks [name ...]`: measure, print what was measured, exit 1 if an objective is missed.

Times on a shared machine are noisy: what counts are ratios within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import batch, cache, scheduler, service, steps
from benchmarks.service import REPOSITORY
from contract.tensors import Manifest
from demo.local_service import LocalService, local_service

Figures = dict[str, float | str]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(_BENCHMARKS)}; default: all but memory")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--chunks", type=int, default=10_000, help="of the memory benchmark (default: %(default)s)")
    options = parser.parse_args(arguments)
    names = options.name or [name for name in _BENCHMARKS if name != "memory"]
    if unknown := set(names) - set(_BENCHMARKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    missed = []
    for name in names:
        measure, objective = _BENCHMARKS[name]
        for figures in measure(options):
            _print(name, figures, as_json=options.json)
            if not objective(figures):
                missed.append(name)
    if missed:
        print(f"missed the objective: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _print(name: str, figures: Figures, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"benchmark": name} | figures), flush=True)
        return
    print(f"{name}: {figures['scope']}")
    for key, value in figures.items():
        if key != "scope":
            print(f"    {key:46} {value if isinstance(value, str) else f'{value:.4g}'}", flush=True)


def _cache(_options: argparse.Namespace) -> list[Figures]:
    return [cache.measure(geometry) for geometry in (Manifest.read(REPOSITORY).geometry, cache.one_5b_layer())]


def _batch(_options: argparse.Namespace) -> list[Figures]:
    return [batch.measure(REPOSITORY)]


def _scheduler(_options: argparse.Namespace) -> list[Figures]:
    return [scheduler.measure()]


def _steps(_options: argparse.Namespace) -> list[Figures]:
    return [steps.measure(REPOSITORY)]


def _overhead(_options: argparse.Namespace) -> list[Figures]:
    with _service() as running:
        return [asyncio.run(service.overhead(running))]


def _switch(_options: argparse.Namespace) -> list[Figures]:
    with _service() as running:
        return [asyncio.run(service.switch(running))]


def _many(_options: argparse.Namespace) -> list[Figures]:
    with _service() as running:
        return [asyncio.run(service.many(running))]


def _memory(options: argparse.Namespace) -> list[Figures]:
    with _service() as running:
        return [asyncio.run(service.memory(running, options.chunks))]


@contextmanager
def _service() -> Iterator[LocalService]:
    """With room for the sessions of a run while those of the run before are being cleared."""
    blocks = str(2 * service.SESSIONS)
    with tempfile.TemporaryDirectory() as workdir, local_service(Path(workdir), blocks=blocks) as running:
        yield running


def _number(figures: Figures, key: str) -> float:
    value = figures[key]
    assert isinstance(value, float)
    return value


def _steady(figures: Figures) -> bool:
    counts = ("file_descriptors_growth", "shared_memory_files_growth")
    # The allocator's own drift is a few MB; one chunk lost would be 0.9 MB, ten thousand 9 GB.
    return all(_number(figures, key) <= 0 for key in counts) and _number(figures, "resident_mb_growth") < 20


_BENCHMARKS: dict[str, tuple[Callable[[argparse.Namespace], list[Figures]], Callable[[Figures], bool]]] = {
    "cache": (_cache, lambda _figures: True),
    "batch": (_batch, lambda _figures: True),
    "scheduler": (_scheduler, lambda figures: _number(figures, "p99_us") < 200),
    "steps": (_steps, lambda _figures: True),
    "overhead": (_overhead, lambda figures: _number(figures, "ratio") >= 0.90),
    "switch": (
        _switch,
        lambda figures: (
            _number(figures, "cost_in_ordinary_chunks") <= 1.3
            and _number(figures, "longest_gap_in_chunks") <= 1
            and _number(figures, "chunks_later_than_the_earliest_at_most") <= 1
        ),
    ),
    "many": (_many, lambda figures: _number(figures, "ratio") >= 1.2),
    "memory": (_memory, _steady),
}


if __name__ == "__main__":
    sys.exit(main())
