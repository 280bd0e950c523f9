"""`parity`: a running service and the reference rollout play the same scripts; the frames must agree."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from rich.console import Console

from evaluation import options as shared
from evaluation.cases import draw_case
from evaluation.conditions import Condition, Kind, SessionPlan, conditions
from evaluation.drive.endpoint import EndpointDriver
from evaluation.drive.reference import ReferenceDriver
from evaluation.drive.script import Clip
from evaluation.weights import open_student

MEAN_BOUND, LARGEST_BOUND = 0.1, 8
"""Of 255: another order of summation moves a pixel by one here and there, and a long session adds up."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("parity", help="compare a service's frames with the rollout's", description=__doc__)
    parser.add_argument("--seeds", type=shared.seeds, default=[101], help="one case each (default: 101)")
    shared.add_student_options(parser)
    shared.add_endpoint(parser, required=True)
    parser.add_argument("--policies", type=shared.policies, default="all", help="all, or names (default: all)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    student, console, worst = open_student(options.weights), Console(), 0.0
    drivers = (ReferenceDriver(student), EndpointDriver(address=options.endpoint, geometry=student.geometry))
    wanted = [c for c in conditions(options.policies, [True]) if c.kind in (Kind.SWITCH, Kind.NO_SWITCH)]
    for seed in options.seeds:
        case = draw_case(seed, 0, (student.geometry.frame_height, student.geometry.frame_width))
        plan = SessionPlan(chunks_before=2, chunks_after=2)
        ours, theirs = (plan.play(driver, case, wanted) for driver in drivers)
        for name, mean, largest in differences(ours, theirs, wanted):
            console.print(f"{case.name} {name}: mean {mean:.4f}, largest {largest:.0f} of 255", highlight=False)
            worst = max(worst, mean / MEAN_BOUND, largest / LARGEST_BOUND)
    console.print(f"within the bounds of {MEAN_BOUND} and {LARGEST_BOUND}" if worst <= 1 else "NOT within the bounds")
    return 0 if worst <= 1 else 1


def differences(
    ours: dict[str, Clip], theirs: dict[str, Clip], wanted: Sequence[Condition]
) -> list[tuple[str, float, float]]:
    """By condition: the mean and the largest absolute difference; infinite where the chunks do not match."""
    found = []
    for condition in wanted:
        a, b = ours[condition.name], theirs[condition.name]
        if a.starts != b.starts or a.frames.shape != b.frames.shape:
            found.append((condition.name, np.inf, np.inf))
            continue
        difference = np.abs(a.frames.astype(np.int16) - b.frames)
        found.append((condition.name, float(difference.mean()), float(difference.max())))
    return found
