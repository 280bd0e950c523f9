"""Safetensors into modules, under the original Wan2.2 key names or diffusers', with a report of what did not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

_INDEX_SUFFIX = ".safetensors.index.json"
# diffusers -> original. `norm2` and `norm3` trade names: the affine norm before cross-attention is `norm3` in the
# original and `norm2` in diffusers (the other two norms of a block have no weights).
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"^condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"^condition_embedder\.time_proj\.", "time_projection.1."),
    (r"^condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"^condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"^proj_out\.", "head.head."),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^(blocks\.\d+\.)scale_shift_table$", r"\1modulation"),
    (r"^(blocks\.\d+\.)norm2\.", r"\1norm3."),
    (r"^(blocks\.\d+\.)attn1\.", r"\1self_attn."),
    (r"^(blocks\.\d+\.)attn2\.", r"\1cross_attn."),
    (r"^(blocks\.\d+\.(?:self|cross)_attn\.)to_([qkv])\.", r"\1\2."),
    (r"^(blocks\.\d+\.(?:self|cross)_attn\.)to_out\.0\.", r"\1o."),
    (r"^(blocks\.\d+\.ffn\.)net\.0\.proj\.", r"\g<1>0."),
    (r"^(blocks\.\d+\.ffn\.)net\.2\.", r"\g<1>2."),
)


class CheckpointError(ValueError):
    """The checkpoint does not fit the module; the message lists every key that is at fault."""


@dataclass(kw_only=True)
class LoadReport:
    """What became of the keys; names are the module's own (the original Wan2.2 naming)."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} tensors loaded"]
        for title in ("missing", "unexpected", "misshapen"):
            if keys := getattr(self, title):
                lines.append(f"{len(keys)} {title}: {', '.join(keys)}")
        return "; ".join(lines)


def original_name(key: str) -> str:
    """A DiT key in the original naming, whichever of the two it came in."""
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def same_name(key: str) -> str:
    """For modules that know one naming only: VAE and text encoder."""
    return key


def load(
    module: nn.Module,
    path: Path,
    *,
    prefix: str = "",
    rename: Callable[[str], str] = original_name,
    strict: bool = True,
) -> LoadReport:
    """Copy a checkpoint into `module`, one memory-mapped tensor at a time, in the module's dtype and device.

    Args:
        path: a .safetensors file, an index of shards (`*.safetensors.index.json`), or a folder that holds either.
        prefix: only keys that start with it count; it is cut off ("weights." in the golden files).
        strict: raise if anything is missing, unexpected or misshapen.

    Raises:
        CheckpointError: with the whole report, if `strict` and the checkpoint is no exact fit; always, if two keys
            of the checkpoint name the same tensor.
        FileNotFoundError: if there is no checkpoint at `path`.
    """
    targets = dict(module.state_dict(keep_vars=True))
    report = LoadReport()
    seen: set[str] = set()
    with torch.no_grad():
        for key, read in _tensors(path):
            if not key.startswith(prefix):
                continue
            name = rename(key.removeprefix(prefix))
            if name in seen:
                raise CheckpointError(f"two keys of {path} name {name}")
            seen.add(name)
            target = targets.get(name)
            if target is None:
                report.unexpected.append(name)
                continue
            value = read()
            if value.shape != target.shape:
                report.misshapen.append(f"{name} {list(value.shape)} (want {list(target.shape)})")
                continue
            target.copy_(value)
            report.loaded.append(name)
    report.missing = sorted(set(targets) - seen)
    if strict and not report.complete:
        raise CheckpointError(f"{path}: {report}")
    return report


def shards(path: Path) -> list[Path]:
    """The safetensors files behind a file, an index or a folder."""
    if path.is_dir():
        found = sorted(path.glob(f"*{_INDEX_SUFFIX}")) or sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise FileNotFoundError(f"{path} holds {len(found)} safetensors files or indexes, and it should hold one")
        path = found[0]
    if path.name.endswith(_INDEX_SUFFIX):
        weight_map = json.loads(path.read_text())["weight_map"]
        return [path.parent / name for name in sorted(set(weight_map.values()))]
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    return [path]


def _tensors(path: Path) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    with ExitStack() as files:
        for shard in shards(path):
            file = files.enter_context(safe_open(shard, framework="pt"))
            for key in file.keys():  # noqa: SIM118 - not a mapping
                yield key, partial(file.get_tensor, key)
