"""What a Containerfile says: its last stage's environment, and the tree that its COPY lines make of the repository."""

from __future__ import annotations

import io
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from dockerfile_parse import DockerfileParser

from tests.deploy.k8s.manifests import ROOT

CONTAINERS = ROOT / "deploy" / "containers"
NAMES = tuple(sorted(path.name.removesuffix(".Containerfile") for path in CONTAINERS.glob("*.Containerfile")))
_STAGE = "--from="


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, value) in order, comments left out."""
    text = (CONTAINERS / f"{name}.Containerfile").read_bytes()
    parsed = DockerfileParser(fileobj=io.BytesIO(text)).structure
    return [(entry["instruction"], entry["value"]) for entry in parsed if entry["instruction"] != "COMMENT"]


def last_stage(name: str) -> list[tuple[str, str]]:
    whole = instructions(name)
    start = max(index for index, (word, _) in enumerate(whole) if word == "FROM")
    return whole[start + 1 :]


def environment(name: str) -> dict[str, str]:
    pairs = [word for instruction, value in last_stage(name) if instruction == "ENV" for word in shlex.split(value)]
    return dict(pair.split("=", 1) for pair in pairs)


def workdir(name: str) -> str:
    return [value for instruction, value in last_stage(name) if instruction == "WORKDIR"][-1]


def copies(name: str, *, stages: bool = False) -> Iterator[tuple[str, str]]:
    """(source, destination) of every COPY from the repository; with `stages` of those between stages instead."""
    for instruction, value in instructions(name):
        words = shlex.split(value)
        if instruction == "COPY" and words[0].startswith(_STAGE) is stages:
            *sources, destination = [word for word in words if not word.startswith("--")]
            for source in sources:
                yield source, destination


def build_tree(name: str, into: Path) -> None:
    """Carry out the last stage's COPY lines from the repository; `into` is the image's WORKDIR."""
    for instruction, value in last_stage(name):
        words = shlex.split(value)
        if instruction != "COPY" or words[0].startswith(_STAGE):
            continue
        source, destination = words
        target = into / destination
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / source, target)
