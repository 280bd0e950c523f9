"""Checkpoints into modules, whatever naming and files they come in, with a report of what did not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from student.checkpoint_files import CheckpointError, Readers, open_tensors
from student.key_names import collapsed, dit_name, same_name

__all__ = ["CheckpointError", "LoadReport", "load", "matched", "same_name"]


@dataclass(kw_only=True)
class LoadReport:
    """What became of the keys; names are the module's own."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        """Every key that is at fault; those of successive blocks as one."""
        lines = [f"{len(self.loaded)} tensors loaded"]
        for title in ("missing", "unexpected", "misshapen"):
            if keys := getattr(self, title):
                lines.append(f"{len(keys)} {title}: {', '.join(collapsed(keys))}")
        return "; ".join(lines)


def load(
    module: nn.Module,
    path: Path,
    *,
    prefix: str = "",
    rename: Callable[[str], str] = dit_name,
    strict: bool = True,
) -> LoadReport:
    """Copy a checkpoint into `module`, one memory-mapped tensor at a time, in the module's dtype and device.

    Args:
        path: whatever `checkpoint_files.open_tensors` opens.
        prefix: only keys that start with it count; it is cut off ("weights." in the golden files).
        rename: a key of the file -> the module's.
        strict: raise if anything is missing, unexpected or misshapen, before anything is copied.

    Raises:
        CheckpointError: with the whole report, if `strict` and the checkpoint is no exact fit; always, if a file is
            damaged or two keys of the checkpoint name the same tensor.
        FileNotFoundError: if there is no checkpoint at `path`.
    """
    with matched(module, path, prefix=prefix, rename=rename, strict=strict) as (report, readers), torch.no_grad():
        targets = module.state_dict(keep_vars=True)
        for name in report.loaded:
            targets[name].copy_(readers[name]())
    return report


@contextmanager
def matched(
    module: nn.Module,
    path: Path,
    *,
    prefix: str = "",
    rename: Callable[[str], str] = dit_name,
    strict: bool = True,
) -> Iterator[tuple[LoadReport, Readers]]:
    """What `load` would load, by the module's names, without reading it; the module may be on the meta device."""
    targets = dict(module.state_dict(keep_vars=True))
    with open_tensors(path) as tensors:
        report, readers = LoadReport(), Readers()
        for key, read in tensors.items():
            if not key.startswith(prefix):
                continue
            name = rename(key.removeprefix(prefix))
            if name in readers:
                raise CheckpointError(f"two keys of {path} name {name}")
            readers[name] = read
            if name not in targets:
                report.unexpected.append(name)
            elif (shape := list(read().shape)) != list(targets[name].shape):
                report.misshapen.append(f"{name} {shape} (want {list(targets[name].shape)})")
            else:
                report.loaded.append(name)
        # Tied parameters have several names, and a checkpoint may hold any of them.
        found = {id(targets[name]) for name in readers if name in targets}
        report.missing = sorted(name for name, target in targets.items() if id(target) not in found)
        if strict and not report.complete:
            raise CheckpointError(f"{path}: {report}")
        yield report, readers
