"""`drift`: how a session holds up over 1, 2, 5 and 10 times the length it was trained at, without a switch.

Each multiple is judged over the last training length before it. Motion amplitude stands beside the errors: a video that
has come to a stop drifts little.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from rich.console import Console

from evaluation import options as shared
from evaluation import weights
from evaluation.cases import Case
from evaluation.conditions import SessionPlan
from evaluation.drive.script import Clip, Picture, Script
from evaluation.intervals import interval
from evaluation.pool import Bench, each_case
from evaluation.report import Table, provenance, write_json
from evaluation.score import METRICS, Marks, score
from evaluation.sheets import sheet

_NOT_WITHOUT_SWITCH = ("shown_in_chunk", "shown_frames", "shown_s", "direction", "jump")
DRIFT_METRICS = tuple(metric for metric in METRICS if metric.name not in _NOT_WITHOUT_SWITCH)
ERRORS = ("garment_delta_e", "head_delta_e", "amplitude")
"""What the targets are about: errors at the longest over those at the shortest, and the amplitude."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult:
    """A case's marks by multiple of the training length, as "1x"."""

    name: str
    marks: Mapping[str, Marks]
    sheet: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftTask:
    """Plays one long session a case. `chunks`: the training length."""

    multiples: Sequence[int]
    chunks: int

    def __call__(self, bench: Bench, case: Case) -> DriftResult:
        opening, geometry = SessionPlan().opening(case), bench.driver.geometry
        (clip,) = bench.driver.play([Script(opening=opening, chunks=self.chunks * max(self.multiples))])
        expected = case.expected_from_start()
        windows = {f"{multiple}x": self._window(clip, multiple) for multiple in self.multiples}
        marks = {
            name: score(window, expected, switch_chunk=0, frames_per_second=geometry.frames_per_second)
            for name, window in windows.items()
        }
        frames = {name: window.frames for name, window in windows.items()}
        shown = range(0, min(len(window) for window in frames.values()), 4)
        return DriftResult(
            name=case.name,
            marks=marks,
            sheet=sheet(
                (opening.person, opening.garment),
                frames,
                dict.fromkeys(frames, 0),
                caption=opening.prompt,
                offsets=tuple(shown),
            ),
        )

    def _window(self, clip: Clip, multiple: int) -> Clip:
        starts = (*clip.starts, len(clip.frames))[self.chunks * (multiple - 1) : self.chunks * multiple + 1]
        return Clip(
            frames=clip.frames[starts[0] : starts[-1]], starts=tuple(start - starts[0] for start in starts[:-1])
        )


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("drift", help="sessions of up to 10 times the training length", description=__doc__)
    shared.add_case_options(parser, cases=6)
    shared.add_student_options(parser)
    shared.add_endpoint(parser)
    shared.add_out(parser)
    parser.add_argument("--train-chunks", type=int, default=4, help="the training length (default: %(default)s)")
    parser.add_argument("--multiples", type=shared.seeds, default=[1, 2, 5, 10], help="(default: 1,2,5,10)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.train_chunks < 1:
        raise ValueError(f"--train-chunks must be at least 1, got {options.train_chunks}")
    cases = shared.chosen_cases(options)
    task = DriftTask(multiples=sorted(options.multiples), chunks=options.train_chunks)
    results = list(each_case(shared.setup(options), task, cases, workers=options.workers, title="long sessions"))
    table = Table(marks=[result.marks for result in results], metrics=DRIFT_METRICS)
    content = provenance(
        seeds=options.seeds,
        cases=len(results),
        driver=options.endpoint or "reference rollout",
        weights=options.weights,
        weights_sha256=weights.digest(options.weights),
        train_chunks=options.train_chunks,
    )
    content |= {"rows": table.to_json(), "longest_over_shortest": _growth(table)}
    content["by_case"] = [{"case": result.name, "marks": result.marks} for result in results]
    write_json(options.out / "drift.json", content)
    text = f"{table.markdown()}\n\n{_growth_text(table)}"
    (options.out / "drift.md").write_text(f"# Drift\n\n{len(results)} held-out cases; no switch.\n\n{text}\n")
    Image.fromarray(np.concatenate([result.sheet for result in results[:2]])).save(
        options.out / "drift.jpg", quality=90
    )
    Console().print(text, markup=False, soft_wrap=True)
    return 0


def _growth(table: Table) -> dict[str, float]:
    first, last = table.rows[0], table.rows[-1]
    return {name: interval(table.column(last, name), table.column(first, name)).mean for name in ERRORS}


def _growth_text(table: Table) -> str:
    first, last = table.rows[0], table.rows[-1]
    titles = {metric.name: metric.title for metric in METRICS}
    parts = (f"{titles[name]} {value:.2f}" for name, value in _growth(table).items())
    return f"{last} over {first}: {', '.join(parts)}"
