"""Which student is evaluated: its weights, and a digest that tells them from any other's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from student import nano
from student.student import Student

UNTRAINED = "untrained"
"""In place of a folder: the seed's weights, to try a command with."""


def open_student(weights: str) -> Student:
    """The student of a folder with one .safetensors file a network, or the untrained one.

    Raises:
        FileNotFoundError: the folder or a file in it is missing.
        ValueError: a file does not fit the network.
    """
    return nano.build() if weights == UNTRAINED else nano.load(Path(weights))


def digest(weights: str) -> str:
    """SHA-256 over the names and contents of the folder's .safetensors files; the seed of untrained ones."""
    if weights == UNTRAINED:
        return f"untrained, seed {nano.SEED}"
    found = hashlib.sha256()
    for path in sorted(Path(weights).glob("*.safetensors")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
