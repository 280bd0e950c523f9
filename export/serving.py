"""A model repository for executors on a GPU: manifest, configs and Triton's shells, without ONNX graphs."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from contract import byte_tokenizer
from contract.schedule import DenoisingSchedule
from contract.tensors import MANIFEST_FILE, Executor, Manifest, models
from export import seal

_SHELLS = Path(__file__).parents[1] / "model_repository"
_SHELL_FILE = "model.py"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("repository", help="choose what a model repository's models compute with")
    command.add_argument("--root", type=Path, required=True, help="made, if there is none")
    command.add_argument("--executor", type=Executor, choices=list(Executor), required=True)
    command.add_argument("--student", choices=["nano", "5b"], help="where the root has no manifest yet")
    command.add_argument(
        "--weights",
        type=Path,
        help="of 5b: the checkpoint that will be served, for its tokenizer; without it prompts are bytes",
    )
    command.add_argument("--frame", default="704x1280", metavar="WIDTHxHEIGHT", help="of 5b (default: %(default)s)")
    command.set_defaults(run=_run)


def write(
    root: Path, executor: Executor, fresh: Manifest | None = None, tokenizer: Path | None = None
) -> Iterator[str]:
    """Name the executor in the root's manifest, and write what surrounds it.

    Args:
        fresh: the manifest, where there is none yet.
        tokenizer: a tokenizer's file to serve with, in place of what the manifest names.

    Yields:
        The path of each file.

    Raises:
        FileNotFoundError: there is no manifest, and none is given.
    """
    manifest = Manifest.read(root) if fresh is None or (root / MANIFEST_FILE).is_file() else fresh
    root.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        yield str(seal.place_tokenizer(root, tokenizer))
        manifest = replace(manifest, tokenizer=tokenizer.name)
    seal.write_manifest(root, replace(manifest, executor=executor))
    yield str(root / MANIFEST_FILE)
    for model in models(manifest.geometry):
        shell = Path(model.name) / seal.VERSION / _SHELL_FILE
        if not (root / shell).is_file():
            (root / shell).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_SHELLS / shell, root / shell)
            yield str(root / shell)
    yield from map(str, seal.write_configs(root))


def _run(options: argparse.Namespace) -> int:
    try:
        for path in write(options.root, options.executor, _fresh(options), _tokenizer(options.weights)):
            print(path)
    except (FileNotFoundError, ValueError) as error:
        print(f"python -m export: {error}", file=sys.stderr)
        return 2
    return 0


def _fresh(options: argparse.Namespace) -> Manifest | None:
    made = {"command": f"python -m export repository --executor {options.executor} --student {options.student}"}
    if options.student == "nano":
        return replace(Manifest.read(_SHELLS), files={}, made=made)
    if options.student is None:
        return None
    from student import wan_5b  # here, because PyTorch takes seconds to load

    width, _, height = options.frame.partition("x")
    geometry = wan_5b.geometry(int(height), int(width))
    return Manifest(geometry=geometry, schedule=DenoisingSchedule(), tokenizer=byte_tokenizer.NAME, files={}, made=made)


def _tokenizer(weights: Path | None) -> Path | None:
    if weights is None:
        return None
    from student.wan import WanFiles

    return WanFiles.find(weights).its_tokenizer()
