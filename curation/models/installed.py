"""What a model needs on this machine."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class ModelMissing(ValueError):
    """A model's weights or package are not here; the message names them, and how to get them."""


def require(model: str, *, packages: Sequence[str], paths: Sequence[Path], advice: str) -> None:
    """
    Raises:
        ModelMissing: a package is not installed, or there is nothing at a path.
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise ModelMissing(f"{model} needs the package {name}, which is not installed. {advice}")
    for path in paths:
        if not path.exists():
            raise ModelMissing(f"{model} needs its weights, and there is nothing at {path}. {advice}")


def package(model: str, name: str) -> Any:
    """A package that is imported only where its model is used.

    Raises:
        ModelMissing: it, or one that it needs, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModelMissing(f"{model} needs the package {error.name}, which is not installed") from error


def from_checkout(model: str, repository: Path, name: str) -> Any:
    """A module of a repository that is no package: its folder goes to the front of the path."""
    if str(repository) not in sys.path:
        sys.path.insert(0, str(repository))
    return package(model, name)
