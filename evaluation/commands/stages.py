"""`stages`: the teacher and its students on the same cases: what each shows, and how fast it is sampled.

A stage called `teacher` is sampled as teachers are, bidirectionally with guidance; any other through the student's few
steps and its cache. Speeds are of sampling without decoding, on one thread, and count that thread's own time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from evaluation import options as shared
from evaluation import weights
from evaluation.cases import Case
from evaluation.commands.drift import DRIFT_METRICS
from evaluation.conditions import SessionPlan
from evaluation.drive.reference import text_context
from evaluation.drive.script import Clip, Opening, Picture, Script
from evaluation.pool import Bench, each_case
from evaluation.report import Table, provenance, write_json
from evaluation.score import Marks, Metric, score
from evaluation.sheets import sheet
from evaluation.teacher import teacher_latents
from evaluation.weights import open_stage
from student.rollout import LatentStream, philox_noise
from student.student import Student

TEACHER = "teacher"
PAPER_RATIO = (30, 180)
"""How much faster than its baselines the paper's student is, 720p on one H200."""
SPEED = Metric(name="backbone_fps", title="frames sampled a second, one thread, not decoded", higher_is_better=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesResult:
    name: str
    marks: Mapping[str, Marks]
    sheet: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesTask:
    """Plays one case at every stage. `stages`: where each one's weights lie, by name."""

    stages: Mapping[str, str]
    chunks: int
    steps: int
    guidance: float

    def __call__(self, bench: Bench, case: Case) -> StagesResult:
        opening, expected = SessionPlan().opening(case), case.expected_from_start()
        starts = Script(opening=opening, chunks=self.chunks).starts(bench.student.geometry)[:-1]
        marks: dict[str, Marks] = {}
        frames = {}
        for name, folder in self.stages.items():
            student = open_stage(folder, bench.student)
            began = time.thread_time()
            latents = self._latents(name, student, opening)
            seconds = time.thread_time() - began
            clip = Clip(frames=_decoded(student, latents), starts=starts)
            rate = student.geometry.frames_per_second
            marks[name] = dict(score(clip, expected, switch_chunk=0, frames_per_second=rate)) | {
                SPEED.name: len(clip.frames) / seconds
            }
            frames[name] = clip.frames
        pictures = (opening.person, opening.garment)
        shown = tuple(range(0, len(clip.frames), 4))
        at = dict.fromkeys(frames, 0)
        return StagesResult(
            name=case.name, marks=marks, sheet=sheet(pictures, frames, at, caption=opening.prompt, offsets=shown)
        )

    def _latents(self, name: str, student: Student, opening: Opening) -> Tensor:
        if name == TEACHER:
            return teacher_latents(student, opening, chunks=self.chunks, steps=self.steps, guidance=self.guidance)
        return _student_latents(student, opening, self.chunks)


@torch.no_grad()
def _student_latents(student: Student, opening: Opening, chunks: int) -> Tensor:
    stream = LatentStream(
        student.network, student.geometry, noise=philox_noise(opening.seed), schedule=student.schedule
    )
    pictures = (torch.from_numpy(opening.person), torch.from_numpy(opening.garment))
    reference, garment = (student.vae.encode_image(picture[None]) for picture in pictures)
    stream.start(reference, garment, text_context(student, opening.prompt))
    return torch.cat([stream.chunk()[0] for _ in range(chunks)])


@torch.no_grad()
def _decoded(student: Student, latents: Tensor) -> Picture:
    caches: tuple[Tensor, ...] | None = None
    shown = []
    for latent in latents:
        frames, caches = student.vae.decode(latent[None], caches)
        shown.append(frames.numpy())
    return np.concatenate(shown)


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("stages", help="teacher and students: quality and speed", description=__doc__)
    shared.add_case_options(parser, cases=6)
    shared.add_student_options(parser)
    shared.add_out(parser)
    parser.add_argument(
        "--stage",
        action="append",
        required=True,
        metavar="NAME=PATH",
        help="a stage's weights: a folder as --weights takes it, or the file that a training stage wrote (the VAE "
        "comes from --weights then); give one for each stage",
    )
    parser.add_argument("--chunks", type=int, default=4, help="of each clip (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="of the teacher (default: %(default)s)")
    parser.add_argument("--guidance", type=float, default=3.0, help="of the teacher (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    stages = _named(options.stage)
    cases = shared.chosen_cases(options)
    task = StagesTask(stages=stages, chunks=options.chunks, steps=options.steps, guidance=options.guidance)
    results = list(each_case(shared.setup(options), task, cases, workers=options.workers, title="stages"))
    table = Table(marks=[result.marks for result in results], metrics=(*DRIFT_METRICS, SPEED))
    text = f"{table.markdown()}\n\n{_speeds(table)}"
    content = provenance(
        seeds=options.seeds,
        cases=len(results),
        weights_sha256={name: weights.digest(path) for name, path in stages.items()},
        teacher={"steps": options.steps, "guidance": options.guidance},
        chunks=options.chunks,
    )
    content |= {"rows": table.to_json(), "by_case": [{"case": r.name, "marks": r.marks} for r in results]}
    write_json(options.out / "stages.json", content)
    (options.out / "stages.md").write_text(f"# Stages\n\n{len(results)} held-out cases; no switch.\n\n{text}\n")
    pictures = Image.fromarray(np.concatenate([result.sheet for result in results[:3]]))
    pictures.save(options.out / "stages.jpg", quality=90)
    Console().print(text, markup=False, soft_wrap=True)
    return 0


def _named(stages: Sequence[str]) -> dict[str, str]:
    named = dict(stage.partition("=")[::2] for stage in stages)
    if len(named) < len(stages) or not all(name and path for name, path in named.items()):
        raise ValueError(f"--stage takes NAME=PATH, each name once; got {', '.join(stages)}")
    return named


def _speeds(table: Table) -> str:
    """Each student's speed over the teacher's, beside the paper's ratio over its baselines."""
    speeds = {row: table.cell(row, SPEED).mean for row in table.rows}
    low, high = PAPER_RATIO
    if TEACHER not in speeds:
        return "No stage called teacher: no ratio of speeds."
    ratios = (f"{row} {speed / speeds[TEACHER]:.0f} x" for row, speed in speeds.items() if row != TEACHER)
    return f"Faster than the teacher: {', '.join(ratios)} (the paper's student over its baselines: {low}-{high} x)."
