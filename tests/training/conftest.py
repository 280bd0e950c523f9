"""A scene to train in: the tiny preset, and blobs for data."""

from collections.abc import Callable

import pytest
import torch

from tests.training.blobs import BlobSource
from training.place import Place
from training.presets import TINY
from training.stage import Scene

MakeScene = Callable[[int], Scene]


@pytest.fixture(scope="session")
def make_scene() -> MakeScene:
    """A scene for batches of a size."""

    def make(batch: int) -> Scene:
        return Scene(preset=TINY, source=BlobSource(TINY, batch), place=Place(device=torch.device("cpu")))

    return make


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    return make_scene(8)
