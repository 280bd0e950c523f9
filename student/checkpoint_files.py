"""Where a checkpoint's tensors lie: safetensors alone or in shards, or PyTorch's own files; all memory-mapped."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

SAFETENSORS = ".safetensors"
PICKLES = (".pth", ".pt", ".bin")
_INDEX_SUFFIX = ".safetensors.index.json"
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.safetensors$")
# Where trainings put the generator, the better one first: averaged weights before the last step's.
_GENERATORS = ("generator_ema", "generator", "state_dict")
_LFS_POINTER = b"version https://git-lfs"

Readers = dict[str, Callable[[], Tensor]]
"""Key -> what reads its tensor. A tensor read from a memory-mapped file is read from the disk as it is used."""


class CheckpointError(ValueError):
    """The checkpoint is damaged or does not fit the module; the message lists every key that is at fault."""


@contextmanager
def open_tensors(path: Path) -> Iterator[Readers]:
    """The tensors of a checkpoint, for as long as the context lasts.

    Args:
        path: a .safetensors file, an index of shards (`*.safetensors.index.json`), a folder that holds either or a
            complete set of shards, or a PyTorch file (.pth, .pt, .bin), of which only tensors are unpickled.

    Raises:
        CheckpointError: if a file is no such file, or the same key is in two shards.
        FileNotFoundError: if there is no checkpoint at `path`, or a shard is missing.
    """
    if path.suffix in PICKLES and path.is_file():
        yield {key: partial(_same, tensor) for key, tensor in _unpickled(path).items()}
        return
    with ExitStack() as files:
        readers: Readers = {}
        for shard in shards(path):
            try:
                file = files.enter_context(safe_open(shard, framework="pt"))
            except SafetensorError as error:
                raise CheckpointError(_damaged(shard, error)) from error
            for key in file.keys():  # noqa: SIM118 - not a mapping
                if key in readers:
                    raise CheckpointError(f"{path}: {key} is in two shards, one of them {shard.name}")
                readers[key] = partial(file.get_tensor, key)
        yield readers


def shards(path: Path) -> list[Path]:
    """The safetensors files behind a file, an index or a folder."""
    if path.is_dir():
        found = sorted(path.glob(f"*{_INDEX_SUFFIX}")) or sorted(path.glob(f"*{SAFETENSORS}"))
        if len(found) > 1 and all(_SHARD.search(file.name) for file in found):
            return _complete_set(path, found)
        if len(found) != 1:
            raise FileNotFoundError(f"{path} holds {len(found)} safetensors files or indexes, and it should hold one")
        path = found[0]
    if path.name.endswith(_INDEX_SUFFIX):
        names = sorted(set(_weight_map(path).values()))
        if absent := [name for name in names if not (path.parent / name).is_file()]:
            raise FileNotFoundError(f"{path} names {', '.join(absent)}, and there is no such file beside it")
        return [path.parent / name for name in names]
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    return [path]


def _complete_set(folder: Path, found: list[Path]) -> list[Path]:
    """Shards without an index: their names tell how many there should be."""
    numbers = [tuple(map(int, match.groups())) for file in found if (match := _SHARD.search(file.name))]
    count = numbers[0][1]
    if absent := sorted(set(range(1, count + 1)) - {number for number, _ in numbers}):
        raise FileNotFoundError(f"{folder} lacks shard {', '.join(map(str, absent))} of {count}")
    if len(found) != count:
        raise FileNotFoundError(f"{folder} holds shards of more than one checkpoint")
    return found


def _weight_map(index: Path) -> Mapping[str, str]:
    try:
        weight_map: Mapping[str, str] = dict(json.loads(index.read_text())["weight_map"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{index} is no index of shards: {error}") from error
    return weight_map


def _unpickled(path: Path) -> Mapping[str, Tensor]:
    try:
        # PyTorch maps its zip files only; what was written before 1.6 is read whole.
        found: Any = torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
    except (UnpicklingError, RuntimeError) as error:
        raise CheckpointError(_damaged(path, error)) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever the unpickler stumbles over: a web page of an error, an empty file
        raise CheckpointError(_damaged(path, UnpicklingError(f"no file of PyTorch's: {error!r}"))) from error
    if isinstance(found, Mapping):
        found = next((found[name] for name in _GENERATORS if name in found), found)
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        what = f"keys {', '.join(map(str, found))}" if isinstance(found, Mapping) else type(found).__name__
        raise CheckpointError(f"{path} holds no tensors by name, nor any under {', '.join(_GENERATORS)}: {what}")
    return found


def _damaged(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    if start == _LFS_POINTER:
        return f"{path} is a pointer of Git LFS and not the file itself: fetch it with `git lfs pull`"
    return f"{path} cannot be read: {str(error).splitlines()[0]}"


def _same(tensor: Tensor) -> Tensor:
    return tensor
