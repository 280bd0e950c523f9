"""`switch`: garment switches under every policy, on held-out cases, beside controls and bounds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from evaluation import options as shared
from evaluation import weights
from evaluation.cases import Case
from evaluation.conditions import DEFAULT, Condition, Kind, SessionPlan, conditions
from evaluation.corruptions import DrawnSession
from evaluation.drive.script import Clip
from evaluation.metrics.garment import separation
from evaluation.pool import Bench, each_case
from evaluation.reconstruction import reconstructed
from evaluation.report import Table, provenance, write_json
from evaluation.score import Marks, score
from evaluation.sheets import Picture, sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case's marks by condition; `sheet` shows the frames round the switch, where asked for."""

    name: str
    seed: int
    about: Mapping[str, str | float]
    marks: Mapping[str, Marks]
    sheet: Picture | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchTask:
    """Judges one case under all conditions; the cases in `pictured` get a sheet."""

    conditions: Sequence[Condition]
    plan: SessionPlan
    pictured: frozenset[tuple[int, int]]

    def __call__(self, bench: Bench, case: Case) -> CaseResult:
        expected = case.expected_after_switch()
        clips = self._bounds(bench, case) | self.plan.play(bench.driver, case, self.conditions)
        rate = bench.driver.geometry.frames_per_second
        marks = {
            name: score(clip, expected, switch_chunk=self.plan.chunks_before, frames_per_second=rate)
            for name, clip in clips.items()
        }
        return CaseResult(
            name=case.name,
            seed=case.seed,
            about=about(case) | {"separation": separation(expected.truth)},
            marks=marks,
            sheet=self._sheet(case, clips) if (case.seed, case.index) in self.pictured else None,
        )

    def _bounds(self, bench: Bench, case: Case) -> dict[str, Clip]:
        kinds = {condition.kind for condition in self.conditions}
        if not kinds & {Kind.REAL, Kind.RECONSTRUCTION}:
            return {}
        geometry = bench.driver.geometry
        drawn = DrawnSession(case, self.plan.switch(case, geometry, DEFAULT), geometry)
        real = drawn.clip(drawn.right())
        clips = {Kind.REAL.value: real}
        if Kind.RECONSTRUCTION in kinds:
            before, after = np.split(real.frames, [drawn.switch_frame])
            again = [reconstructed(bench.student.vae, part) for part in (before, after)]
            clips[Kind.RECONSTRUCTION.value] = Clip(frames=np.concatenate(again), starts=real.starts)
        return clips

    def _sheet(self, case: Case, clips: Mapping[str, Clip]) -> Picture:
        inputs = (case.sample.reference, case.product(case.sample.garment), case.product(case.sample.other))
        at = {name: clip.starts[self.plan.chunks_before] for name, clip in clips.items()}
        return sheet(inputs, {name: clip.frames for name, clip in clips.items()}, at, caption=case.prompt(0))


def about(case: Case) -> dict[str, str | float]:
    """What a case shows, for the report."""
    sample = case.sample
    return {
        "type": sample.garment.type.value,
        "action": sample.motion.action.value,
        "cycles_per_second": sample.motion.cycles_per_second,
        "pattern": sample.other.pattern.value,
        "from_colour": sample.garment.colour.title,
        "to_colour": sample.other.colour.title,
    }


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("switch", help="garment switches: all policies, controls, bounds", description=__doc__)
    shared.add_case_options(parser, cases=24)
    shared.add_student_options(parser)
    shared.add_endpoint(parser)
    shared.add_degradation(parser)
    shared.add_out(parser)
    parser.add_argument("--policies", type=shared.policies, default="all", help="all, or names (default: all)")
    parser.add_argument(
        "--prompt-phase",
        action=argparse.BooleanOptionalAction,
        help="tell the phase in the prompt that comes with the switch, or do not (default: both, as rows of their own)",
    )
    parser.add_argument("--chunks-before", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--chunks-after", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--sheets", type=int, default=6, help="cases that get a picture (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    cases = shared.chosen_cases(options)
    phases = (True, False) if options.prompt_phase is None else (options.prompt_phase,)
    task = SwitchTask(
        conditions=conditions(options.policies, phases),
        plan=SessionPlan(chunks_before=options.chunks_before, chunks_after=options.chunks_after),
        pictured=shared.in_turn(cases, options.sheets),
    )
    results = list(each_case(shared.setup(options), task, cases, workers=options.workers, title="switching garments"))
    written = write(results, options, options.out)
    console = Console()
    console.print(Table(marks=[result.marks for result in results]).markdown(), markup=False, soft_wrap=True)
    console.print(f"\n{written}")
    return 0


def write(results: Sequence[CaseResult], options: argparse.Namespace, out: Path) -> Path:
    """switch.md, switch.json and a sheet for each pictured case; returns the table's path."""
    table = Table(marks=[result.marks for result in results])
    out.mkdir(parents=True, exist_ok=True)
    for result in results:
        if result.sheet is not None:
            Image.fromarray(result.sheet).save(out / f"switch-{result.name}.jpg", quality=90)
    content = provenance(
        seeds=options.seeds,
        cases=len(results),
        driver=_driver(options),
        weights=options.weights,
        weights_sha256=weights.digest(options.weights),
        chunks=[options.chunks_before, options.chunks_after],
    )
    content |= {"rows": table.to_json(), "difference_from_default": _differences(table)}
    content["by_case"] = [{"case": result.name, "about": result.about, "marks": result.marks} for result in results]
    write_json(out / "switch.json", content)
    path = out / "switch.md"
    path.write_text(_text(table, options, len(results)))
    return path


def _differences(table: Table) -> dict[str, object]:
    if DEFAULT.name not in table.rows:
        return {}
    return {row: table.differences(row, DEFAULT.name) for row in table.rows if row != DEFAULT.name}


def _driver(options: argparse.Namespace) -> str:
    without = f", {options.degradation} denoising passes left out" if options.degradation else ""
    return options.endpoint or f"reference rollout{without}"


def _text(table: Table, options: argparse.Namespace, cases: int) -> str:
    seeds = ", ".join(map(str, options.seeds))
    what = f"{cases} held-out cases of the seeds {seeds}; {options.chunks_before} chunks before the switch"
    how = f"driver: {_driver(options)}; weights `{weights.digest(options.weights)[:16]}`"
    return (
        f"# Garment switches\n\n{what}, {options.chunks_after} after it; {how}. "
        f"Means over cases with bootstrap 95 % intervals.\n\n{table.markdown()}\n"
    )
