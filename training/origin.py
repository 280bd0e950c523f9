"""What a folder of a run was made of, kept in it: what something else made is neither gone on with nor passed over.

A run may take days and stop often, and between two starts its codec, its preset or its weights may have changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from student.checkpoint_files import shards

RECORD = "made-of.json"
_SHA256 = "sha256:"
_SHOWN = 12
Origin = Mapping[str, str | int | None]
"""Name of an input -> its `digest`, the preset's name, a number; None: there was none."""


class OriginError(ValueError):
    """A folder was made of something else, or does not say of what."""


def bind(folder: Path, origin: Origin, *, writes: bool = True) -> None:
    """Note in a folder that holds nothing yet what it is made of, or find that it is what made it before.

    Args:
        origin: all that the folder depends on, or still depends on.
        writes: one of the processes that call this together.

    Raises:
        OriginError: if it is not, or if the folder holds something and does not say what made it.
    """
    # Not by the record alone: a start that failed before it made anything binds nobody. Whatever another process puts
    # there comes after the record.
    filled = folder.is_dir() and any(not path.name.startswith(RECORD) for path in folder.iterdir())
    if filled:
        check(folder, origin)
    elif writes:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{RECORD}.partial"
        partial.write_text(json.dumps(origin, indent=2) + "\n")
        partial.rename(folder / RECORD)


def check(folder: Path, origin: Origin) -> None:
    """Find that a folder was made of what `origin` names.

    Raises:
        OriginError: if not, or if it does not say what made it.
    """
    recorded = read(folder)
    if recorded is None:
        raise _unknown(folder)
    _compare(folder, recorded, origin)


def read(folder: Path) -> Origin | None:
    """What a folder says it was made of, if it does."""
    path = folder / RECORD
    if not path.exists():
        return None
    recorded: Origin = json.loads(path.read_text())
    return recorded


def digest(weights: Path) -> str:
    """Of a checkpoint's contents: a file, or all of its shards.

    Raises:
        FileNotFoundError: if there is no checkpoint.
    """
    return digest_of(shards(weights))


def digest_of(files: Iterable[Path]) -> str:
    """Of the contents of files in their order, whatever their names; of a single file its sha256."""
    each = []
    for path in files:
        with path.open("rb") as file:
            each.append(hashlib.file_digest(file, "sha256").hexdigest())
    return _SHA256 + (each[0] if len(each) == 1 else hashlib.sha256("".join(each).encode()).hexdigest())


def _compare(folder: Path, recorded: Origin, now: Origin) -> None:
    changed = [
        f"{name} was {_shown(recorded.get(name))} and is {_shown(value)}"
        for name, value in now.items()
        if recorded.get(name) != value
    ]
    if changed:
        raise OriginError(
            f"{folder} was made of something else: {', '.join(changed)}. Choose another --out; or, to make it anew, "
            "remove it and what later stages made of it"
        )


def _unknown(folder: Path) -> OriginError:
    return OriginError(
        f"{folder} does not say what made it ({RECORD}), as runs of before that file do not. Choose another --out, "
        "where --data, --vae, --init, --teacher and --reward may name what is here; or remove it"
    )


def _shown(value: str | int | None) -> str:
    if value is None:
        return "none"
    shown = str(value)
    return shown[: len(_SHA256) + _SHOWN] if shown.startswith(_SHA256) else shown
