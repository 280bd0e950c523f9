"""Cases over processes. Each has the student loaded once, and one thread: a case is too small to share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from evaluation.cases import Case, draw_case
from evaluation.drive.script import Driver
from student.student import Student

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker loads.

    Attributes:
        endpoint: a service that plays the scripts in the rollout's place.
        degradation: denoising passes that the rollout leaves out.
    """

    weights: str
    endpoint: str | None = None
    degradation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a worker has loaded."""

    student: Student
    driver: Driver


Task = Callable[[Bench, Case], T]
_bench: Bench | None = None


def each_case(
    setup: Setup, task: Task[T], cases: Sequence[tuple[int, int]], *, workers: int, title: str
) -> Iterator[T]:
    """The task's results, in the order of the cases; `task` must be importable, so that it can travel.

    Raises:
        ValueError: fewer than one worker.
        Exception: what the task raises, at once.
    """
    if workers < 1:
        raise ValueError(f"at least one worker, got {workers}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    results: dict[int, T] = {}
    # A worker would inherit the number of threads otherwise, and they would fight over the cores.
    os.environ["OMP_NUM_THREADS"] = "1"
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_load, initargs=(setup,))
    with Progress(*columns, console=Console(stderr=True)) as progress, pool:
        bar = progress.add_task(title, total=len(cases))
        futures = {pool.submit(_run, task, seed, index): place for place, (seed, index) in enumerate(cases)}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                progress.advance(bar)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    yield from (results[place] for place in range(len(cases)))


def open_bench(setup: Setup) -> Bench:
    """Load the student and choose the driver."""
    # Here, because the command line answers faster without PyTorch.
    import torch

    from evaluation.drive.endpoint import EndpointDriver
    from evaluation.drive.reference import ReferenceDriver
    from evaluation.weights import open_student

    torch.set_num_threads(1)
    student = open_student(setup.weights)
    driver: Driver = ReferenceDriver(student, degradation=setup.degradation)
    if setup.endpoint is not None:
        driver = EndpointDriver(address=setup.endpoint, geometry=student.geometry)
    return Bench(student=student, driver=driver)


def _load(setup: Setup) -> None:
    global _bench
    _bench = open_bench(setup)


def _run(task: Task[T], seed: int, index: int) -> T:
    assert _bench is not None
    geometry = _bench.student.geometry
    return task(_bench, draw_case(seed, index, (geometry.frame_height, geometry.frame_width)))
