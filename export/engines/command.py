"""The commands `tensorrt` and `check` of `python -m export`. What they need is loaded when they run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.tensors import Manifest

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_PROGRAM = "python -m export"
_PROFILES = (
    "what to build for, repeatable: all, prefill, garment, a number of cached latent frames or full; "
    "xBATCH: for that many sessions at once"
)


def add_commands(commands: Commands, *, root: Path) -> None:
    check = commands.add_parser(
        "check", help="parse and build every graph with TensorRT's own parser and builder; needs no GPU"
    )
    check.add_argument("--capability", default="8.9", help="compute capability to build for (default: 8.9)")
    check.set_defaults(run=_check)

    for command, profiles in ((check, ("prefill", "full")),):
        text = f"{_PROFILES} (default: {', '.join(profiles)})"
        command.add_argument("--profile", action="append", metavar="FILL[xBATCH]", help=text)
        command.add_argument("--root", type=Path, default=root, help=f"model repository (default: {root})")
        command.set_defaults(default_profiles=profiles)


def _check(options: argparse.Namespace) -> int:
    """Exit code 0: every graph builds; 1: some do not; 2: it could not be tried."""
    from export.engines.check import capability, check
    from export.engines.library import ToolError, use_rtx
    from export.engines.profiles import profiles

    failed = False
    try:
        manifest = Manifest.read(options.root)
        students = profiles(options.profile or options.default_profiles, manifest.geometry)
        tensorrt = use_rtx()
        target = capability(options.capability, tensorrt)
        print(f"TensorRT-RTX {tensorrt.__version__} for compute capability {options.capability}", flush=True)
        for finding in check(_graphs(options.root, manifest), students, tensorrt=tensorrt, target=target):
            failed |= bool(finding.error)
            print(finding, file=sys.stderr if finding.error else sys.stdout, flush=True)
    except (FileNotFoundError, ValueError, ToolError) as error:
        return _refused(error)
    return 1 if failed else 0


def _graphs(root: Path, manifest: Manifest) -> list[Path]:
    return [root / name for name in sorted(manifest.files) if name.endswith(".onnx")]


def _refused(error: Any) -> int:
    print(f"{_PROGRAM}: {error}", file=sys.stderr)
    return 2
