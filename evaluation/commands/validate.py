"""`validate`: every metric on drawings that are right, and on ones wrong in one known way each."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from rich.console import Console

from evaluation import options as shared
from evaluation.cases import Case
from evaluation.pool import Bench, Setup, each_case
from evaluation.report import provenance, write_json
from evaluation.score import Marks
from evaluation.validation import RULES, broken, judge, means
from evaluation.weights import UNTRAINED


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateTask:
    def __call__(self, bench: Bench, case: Case) -> dict[str, Marks]:
        return judge(case, bench.student.geometry)


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("validate", help="try every metric on right and wrong drawings", description=__doc__)
    shared.add_case_options(parser, cases=12)
    shared.add_out(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    cases = shared.chosen_cases(options)
    setup = Setup(weights=UNTRAINED)  # drawings only: nothing is sampled
    marks = list(each_case(setup, ValidateTask(), cases, workers=options.workers, title="judging drawings"))
    found = means(marks)
    faults = dict(broken(found))
    console = Console(width=110)
    lines = ["| drawings | metric | found | must be | |", "|---|---|---|---|---|"]
    for rule in RULES:
        value = found[rule.drawings][rule.metric]
        lines.append(
            f"| {rule.drawings} | {rule.metric} | {value:.3f} | {rule} | {'FAULT' if rule in faults else 'ok'} |"
        )
    text = "\n".join(lines)
    write_json(options.out / "validate.json", provenance(seeds=options.seeds, cases=len(cases), means=found))
    (options.out / "validate.md").write_text(f"# Metrics on drawings\n\n{text}\n")
    console.print(text, markup=False, soft_wrap=True)
    console.print(f"{len(RULES) - len(faults)} of {len(RULES)} hold, over {len(cases)} cases")
    return 1 if faults else 0
