"""The commands `tensorrt` and `check` of `python -m export`. What they need is loaded when they run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.tensors import MODELS, Manifest

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
    check.add_argument("--only", nargs="+", metavar="MODEL", choices=MODELS, help=f"of {', '.join(MODELS)}")
    check.set_defaults(run=_check)

    check.add_argument("--root", type=Path, default=root, help=f"model repository (default: {root})")

    build = commands.add_parser("tensorrt", help="build TensorRT engines for the GPU at hand, compare and seal them")
    build.add_argument("--student", choices=["nano", "5b"], default="nano")
    build.add_argument("--precision", choices=["fp32", "bf16", "fp8"], default="bf16")
    build.add_argument("--root", type=Path, help=f"model repository with its graphs (default for nano: {root})")
    build.add_argument("--out", type=Path, help="folder for the engines, outside of --root (default: ROOT-engines)")
    build.add_argument(
        "--reference", type=Path, help="the same student's graphs in fp32, to compare with (default for nano: --root)"
    )
    rounded = build.add_argument_group("fp8", "the student's linears are calibrated, and its graph is written anew")
    rounded.add_argument("--calibration", type=Path, help="folder of NAME.person.EXT, NAME.garment.EXT, NAME.txt")
    rounded.add_argument("--weights", type=Path, help="5b: folder of Wan2.2-TI2V-5B; nano: of its safetensors files")
    rounded.add_argument("--network", type=Path, help="5b: a fine-tune of the backbone")
    rounded.add_argument("--random-weights", action="store_true", help="5b: to measure with")
    build.set_defaults(run=_tensorrt, own_root=root)

    for command, profiles in ((check, ("prefill", "full")), (build, ("all",))):
        text = f"{_PROFILES} (default: {', '.join(profiles)})"
        command.add_argument("--profile", action="append", metavar="FILL[xBATCH]", help=text)
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
        graphs = _graphs(options.root, manifest, only=options.only or MODELS)
        for finding in check(graphs, students, tensorrt=tensorrt, target=target):
            failed |= bool(finding.error)
            print(finding, file=sys.stderr if finding.error else sys.stdout, flush=True)
    except (FileNotFoundError, ValueError, ToolError) as error:
        return _refused(error)
    return 1 if failed else 0


def _tensorrt(options: argparse.Namespace) -> int:
    """Exit code 0: engines are built and sealed; 1: they do not build, or are beyond their bounds; 2: bad options."""
    from export.engines.accuracy import engine_runner
    from export.engines.builder import BuildError
    from export.engines.library import ToolError, this_machine, use_tensorrt
    from export.engines.make import AccuracyError, Order, Reference, make
    from export.engines.profiles import profiles
    from export.engines.sources import Source

    try:
        source = Source.of(options, default_root=options.own_root)
        out = _engines_folder(options.out, source.root)
        students = profiles(options.profile or options.default_profiles, source.manifest.geometry)
        tensorrt = use_tensorrt()
        machine = this_machine(tensorrt)
        compared = source.reference
        reference = Reference(root=compared, feed=source.feed, runner=engine_runner) if compared else None
        order = Order(
            graphs=source.graphs(out / "graphs"),
            repository=source.manifest,
            precision=source.precision,
            profiles=students,
            tensorrt=tensorrt,
            machine=machine,
            reference=reference,
            made={"command": f"{_PROGRAM} tensorrt --student {options.student} --precision {options.precision}"},
        )
        for line in make(order, out):
            print(line, flush=True)
    except (BuildError, AccuracyError) as error:
        print(error, file=sys.stderr)
        return 1
    except (FileNotFoundError, ValueError, ToolError) as error:
        return _refused(error)
    return 0


def _engines_folder(out: Path | None, root: Path) -> Path:
    """Raises ValueError inside of the repository: Triton takes every folder there for a model."""
    root = root.resolve()
    out = (out or root.with_name(f"{root.name}-engines")).resolve()
    if out.is_relative_to(root):
        raise ValueError(f"--out {out} lies in the repository {root}, where Triton takes every folder for a model")
    return out


def _graphs(root: Path, manifest: Manifest, *, only: Collection[str]) -> list[Path]:
    graphs = (name for name in sorted(manifest.files) if name.endswith(".onnx"))
    return [root / name for name in graphs if name.split("/")[0] in only]


def _refused(error: Any) -> int:
    print(f"{_PROGRAM}: {error}", file=sys.stderr)
    return 2
