"""`python -m export`: from a student in PyTorch to what Triton loads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from contract.tensors import MODELS
from export import seal, serving
from export.engines.command import add_commands

_PROGRAM = "python -m export"
_ROOT = Path("model_repository")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands")

    onnx = commands.add_parser("onnx", help="write a student's ONNX graphs, compare them with PyTorch, seal them")
    onnx.add_argument("--student", choices=["nano", "5b"], default="nano")
    onnx.add_argument(
        "--weights", type=Path, help="folder of nano's safetensors files (default: those that ship), or Wan2.2-TI2V-5B"
    )
    large = onnx.add_argument_group("5b", "weights are streamed to the disk, and compared with PyTorch only on demand")
    large.add_argument("--random-weights", action="store_true", help="to measure with, where no checkpoint is at hand")
    large.add_argument("--network", type=Path, help="a fine-tune of the backbone, in place of that in --weights")
    large.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    large.add_argument("--frame", type=_frame, default="704x1280", metavar="WIDTHxHEIGHT", help="default: %(default)s")
    large.add_argument("--only", nargs="+", default=(), metavar="MODEL", choices=MODELS, help=", ".join(MODELS))
    large.add_argument("--prepared", action="store_true", help="with time tables and fused queries, keys and values")
    large.add_argument("--layers", type=int, help="a slice: random weights for the backbone's first blocks only")
    large.add_argument("--compare", action="store_true", help="with PyTorch, which then holds one network in memory")
    large.add_argument("--report", action="store_true", help="write nothing; print what the files' sizes would be")
    onnx.set_defaults(run=_onnx)

    configs = commands.add_parser("configs", help="write every model's config.pbtxt from the contract")
    configs.add_argument(
        "--check", action="store_true", help="write nothing; fail if configs or graphs are not as sealed"
    )
    configs.set_defaults(run=_configs)

    serving.add_command(commands)
    add_commands(commands, root=_ROOT)

    onnx.add_argument("--root", type=Path, help=f"model repository (default for nano: {_ROOT})")
    configs.add_argument("--root", type=Path, default=_ROOT, help=f"model repository (default: {_ROOT})")
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    code: int = options.run(options)
    return code


def _onnx(options: argparse.Namespace) -> int:
    # Here, because PyTorch takes seconds to load and the other commands do without.
    from export import wan

    try:
        for line in wan.write(options) if options.student == "5b" else _nano(options):
            print(line, flush=True)
    except (FileNotFoundError, ValueError) as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 2
    return 0


def _nano(options: argparse.Namespace) -> Iterator[str]:
    from export.repository import write_onnx
    from student import nano

    folder = options.weights or nano.WEIGHTS
    made = {
        "command": f"python -m export onnx --student {options.student}",
        "weights": {file.name: seal.digest(file) for file in sorted(folder.glob("*.safetensors"))},
    }
    return write_onnx(nano.load(folder), options.root or _ROOT, made=made)


def _frame(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def _configs(options: argparse.Namespace) -> int:
    try:
        if options.check:
            found = seal.differences(options.root)
            for line in found:
                print(line, file=sys.stderr)
            return 1 if found else 0
        for path in seal.write_configs(options.root):
            print(path)
    except (FileNotFoundError, ValueError) as error:  # no manifest, or not one that can be read
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
