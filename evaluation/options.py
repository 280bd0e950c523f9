"""The options that commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from contract.cache_plan import Policy
from evaluation.cases import spread
from evaluation.pool import Setup

SHIPPED = Path("student/weights/nano")


def add_case_options(parser: argparse.ArgumentParser, *, cases: int) -> None:
    """Which cases, and over how many processes."""
    parser.add_argument("--seeds", type=seeds, default=[101, 102, 103], help="comma-separated (default: 101,102,103)")
    parser.add_argument("--cases", type=int, default=cases, help="over all seeds together (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each (default: %(default)s)")


def add_student_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        default=str(SHIPPED),
        metavar="DIR",
        help="folder of student, vae and text_encoder.safetensors, or the word 'untrained' (default: %(default)s)",
    )


def add_endpoint(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--endpoint", metavar="HOST:PORT", required=required, help="a running service, in place of the rollout"
    )


def add_degradation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--degradation",
        type=int,
        default=0,
        metavar="PASSES",
        help="denoising passes that each chunk goes without, but for a segment's first: what a service does that falls "
        "behind. For the rollout (default: %(default)s)",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("report"), metavar="DIR", help="(default: %(default)s)")


def seeds(text: str) -> list[int]:
    """ "101,102" -> [101, 102]."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no comma-separated list of whole numbers") from error
    if min(found) < 1 or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"seeds must be positive and all different, got {text}")
    return found


def policies(text: str) -> list[Policy]:
    """ "all", or comma-separated names."""
    if text == "all":
        return list(Policy)
    try:
        return [Policy(part) for part in text.split(",")]
    except ValueError as error:
        names = ", ".join(policy.value for policy in Policy)
        raise argparse.ArgumentTypeError(f"{error}; known: all, {names}") from error


def setup(options: argparse.Namespace) -> Setup:
    """
    Raises:
        ValueError: passes to leave out, and a service, which decides on that by itself.
    """
    endpoint, degradation = getattr(options, "endpoint", None), getattr(options, "degradation", 0)
    if endpoint is not None and degradation:
        raise ValueError("--degradation is the rollout's: a service leaves passes out where it falls behind")
    return Setup(weights=options.weights, endpoint=endpoint, degradation=degradation)


def chosen_cases(options: argparse.Namespace) -> list[tuple[int, int]]:
    return spread(options.seeds, options.cases)


def in_turn(cases: Sequence[tuple[int, int]], count: int) -> frozenset[tuple[int, int]]:
    """`count` of the cases, taken from the seeds in turn."""
    return frozenset(sorted(cases, key=lambda case: case[1])[:count])
