"""Which student is evaluated: its weights, and a digest that tells them from any other's."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from student import checkpoint, nano
from student.student import Student
from training.networks import NETWORK, TEXT_ENCODER

UNTRAINED = "untrained"
"""In place of a folder: the seed's weights, to try a command with."""


def open_student(weights: str) -> Student:
    """The student of a folder with one .safetensors file a network, or the untrained one.

    Raises:
        FileNotFoundError: the folder or a file in it is missing.
        ValueError: a file does not fit the network.
    """
    return nano.build() if weights == UNTRAINED else nano.load(Path(weights))


def open_stage(weights: str, like: Student) -> Student:
    """The student of a folder, or of the one file that a training stage wrote, with the VAE of `like`.

    Raises:
        FileNotFoundError, ValueError: as `open_student`.
    """
    path = Path(weights)
    if not path.is_file():
        return open_student(weights)
    student = nano.build()
    checkpoint.load(student.network, path, prefix=NETWORK)
    checkpoint.load(student.text_encoder, path, prefix=TEXT_ENCODER, rename=checkpoint.same_name)
    return replace(student, vae=like.vae)


def digest(weights: str) -> str:
    """SHA-256 over names and contents of the .safetensors files at a path; the seed of untrained ones."""
    if weights == UNTRAINED:
        return f"untrained, seed {nano.SEED}"
    path, found = Path(weights), hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.glob("*.safetensors")):
        found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()
