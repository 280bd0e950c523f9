"""Checkpoints of a stage: whole or not at all, and enough to go on bit for bit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.optimiser import like, whole
from training.stage import Part

_PREFIX = "step-"
_PARTIAL = ".partial"


def save(folder: Path, step: int, parts: Mapping[str, Part], *, writes: bool = True) -> None:
    """Write the state after `step` steps and remove older ones. All processes call it, since shards are gathered;
    one of them `writes`."""
    weights = {
        f"{name}/{kind}/{key}": value.contiguous().clone()
        for name, part in parts.items()
        for kind, tensors in (("weights", part.module.state_dict()), ("ema", part.ema.state()))
        for key, value in ((key, whole(tensor.detach()).cpu()) for key, tensor in tensors.items())
    }
    optimisers = {name: part.optimiser.state() for name, part in parts.items()}
    if not writes:
        return
    partial = folder / f"{_PREFIX}{step:07d}{_PARTIAL}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(weights, partial / "weights.safetensors")
    torch.save(optimisers, partial / "optimisers.pt")
    (partial / "state.json").write_text(json.dumps({"step": step}))
    older = [path for path, _ in _found(folder)]
    for file in partial.iterdir():
        _sync(file)
    final = folder / f"{_PREFIX}{step:07d}"
    if final in older:
        older.remove(final)
        shutil.rmtree(final)
    partial.rename(final)
    _sync(folder)
    for path in older:
        shutil.rmtree(path)


def latest(folder: Path) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step."""
    return max(_found(folder), key=lambda found: found[1], default=None)


def restore(checkpoint: Path, parts: Mapping[str, Part]) -> None:
    """Put a checkpoint's state into the parts."""
    weights = load_file(checkpoint / "weights.safetensors")
    optimisers = torch.load(checkpoint / "optimisers.pt", weights_only=True)
    for name, part in parts.items():
        _copy(part.module.state_dict(), _under(weights, f"{name}/weights/"))
        part.ema.load(_under(weights, f"{name}/ema/"))
        part.optimiser.load(optimisers[name])


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One safetensors file, whole or not at all."""
    partial = path.with_name(path.name + _PARTIAL)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, partial)
    _sync(partial)
    partial.rename(path)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def _copy(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    if set(targets) != set(values):
        raise ValueError(f"the checkpoint is of another network: {', '.join(sorted(set(targets) ^ set(values)))}")
    for name, target in targets.items():
        target.copy_(like(values[name], target))


def _found(folder: Path) -> list[tuple[Path, int]]:
    paths = folder.glob(f"{_PREFIX}*") if folder.is_dir() else ()
    return [(path, int(path.name.removeprefix(_PREFIX))) for path in paths if not path.name.endswith(_PARTIAL)]


def _sync(path: Path) -> None:
    """A rename must not come to the disk before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
