"""The committed model repository, the student it was made from, and a copy to spoil."""

import shutil
from pathlib import Path

import pytest

from contract.tensors import Manifest
from student import nano
from student.student import Student

REPOSITORY = Path(__file__).parents[2] / "model_repository"


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def manifest(repository: Path) -> Manifest:
    return Manifest.read(repository)


@pytest.fixture(scope="session")
def student() -> Student:
    return nano.load()


@pytest.fixture
def copied(repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(repository, tmp_path / "model_repository")
