"""`python -m benchmarks.gpu`: every part of the 5B student on this GPU, in one JSON file and one table.

Random weights; PyTorch alone measures the backbone, diffusers adds the VAE, transformers the text encoder. Rows are
written as they come and dropped, with the reason, when the time is spent. Without a GPU it says so and runs the
embedded student's shape on the CPU: figures for this program's sake, not the student's.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_clock import Clock
from benchmarks.gpu_report import Report
from benchmarks.gpu_subject import Subject, nano_subject, wan_5b_subject
from benchmarks.gpu_suite import Suite
from executors.torch_lane import try_convolutions

_GPU_RUNS, _CPU_RUNS = 10, 3


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/gpu.json"), help="default: %(default)s")
    parser.add_argument("--budget-s", type=float, default=450, help="no row begins behind it (default: %(default)s)")
    parser.add_argument("--runs", type=int, help=f"of each row (default: {_GPU_RUNS}, on a CPU {_CPU_RUNS})")
    parser.add_argument(
        "--only",
        type=_pattern,
        metavar="REGEX",
        help="only rows of whose line it finds something before the figures: 'overlapped|text', 'fp8 batch [234]'",
    )
    options = parser.parse_args(arguments)
    on_gpu = torch.cuda.is_available()
    report = Report(path=options.out, machine=machine(), budget_s=options.budget_s)
    if not on_gpu:
        report.note("No GPU: what follows is the embedded student's shape on the CPU, and no figure of the 5B student.")
    subject = wan_5b_subject() if on_gpu else nano_subject()
    run(subject, report, runs=options.runs or (_GPU_RUNS if on_gpu else _CPU_RUNS), only=options.only)
    if not report.rows:
        report.note("No row was measured.")
    report.show()
    report.write()
    print(options.out)
    return 0


def run(subject: Subject, report: Report, *, runs: int, only: re.Pattern[str] | None = None) -> None:
    """Measure a subject on the GPU, or without one on the CPU.

    Args:
        only: rows in whose title (`gpu_report.title`) it finds something; None: all.
    """
    torch.manual_seed(0)
    # Where the libraries' warnings are about speed, the figures show it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if device.type == "cuda":
            try_convolutions()  # as the decoder's executor does
        Suite(subject, Clock(device, runs=runs), report, only=only).run()


def machine() -> dict[str, Any]:
    """Where and when."""
    device = f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        device = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return {
        "device": device,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"no regular expression: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
