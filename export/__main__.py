"""`python -m export`: from a student in PyTorch to what Triton loads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export import seal

_PROGRAM = "python -m export"
_ROOT = Path("model_repository")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands")

    onnx = commands.add_parser("onnx", help="write a student's ONNX graphs, compare them with PyTorch, seal them")
    onnx.add_argument("--student", choices=["nano"], default="nano")
    onnx.add_argument("--weights", type=Path, help="folder of its safetensors files (default: those that ship)")
    onnx.set_defaults(run=_onnx)

    configs = commands.add_parser("configs", help="write every model's config.pbtxt from the contract")
    configs.add_argument(
        "--check", action="store_true", help="write nothing; fail if configs or graphs are not as sealed"
    )
    configs.set_defaults(run=_configs)

    for command in (onnx, configs):
        command.add_argument("--root", type=Path, default=_ROOT, help=f"model repository (default: {_ROOT})")
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    code: int = options.run(options)
    return code


def _onnx(options: argparse.Namespace) -> int:
    # Here, because PyTorch takes seconds to load and the other commands do without.
    from export.repository import write_onnx
    from student import nano

    folder = options.weights or nano.WEIGHTS
    try:
        student = nano.load(folder)
    except (FileNotFoundError, ValueError) as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 2
    made = {
        "command": f"python -m export onnx --student {options.student}",
        "weights": {file.name: seal.digest(file) for file in sorted(folder.glob("*.safetensors"))},
    }
    for line in write_onnx(student, options.root, made=made):
        print(line, flush=True)
    return 0


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
