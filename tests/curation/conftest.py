"""Films of the drawn world, and one curation of all of them; both made once, and only read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from curation import config as configuration
from curation.config import Config
from curation.drawn.films import draw_films
from curation.models.cast import ConfiguredCast
from curation.pipeline import ROLES, Pipeline
from curation.store import Store

CONFIG = Path("curation/drawn/curation.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """A folder of films, and the folder in which they were curated."""

    videos: Path
    out: Path
    config: Config

    @property
    def store(self) -> Store:
        return Store(self.videos, self.out)


@pytest.fixture(scope="session")
def config() -> Config:
    return configuration.load(CONFIG)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    draw_films(folder)
    return folder


@pytest.fixture(scope="session")
def curated(films: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    out = tmp_path_factory.mktemp("curated")
    store = Store(films, out)
    store.begin(config)
    pipeline = Pipeline(store=store, config=config, cast=ConfiguredCast(config, films))
    for stage in ROLES:
        pipeline.run(stage)
    assert not pipeline.troubles
    return Curated(videos=films, out=out, config=config)
