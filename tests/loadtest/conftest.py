"""Scenarios and records to judge, and the whole service over its fake engine to run against."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.local_service import LocalService, local_service
from loadtest.record import Outcome, SessionRecord
from loadtest.scenario import Scenario, load

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "demo/pictures"
PYTHON = sys.executable

_CONTENT: dict[str, Any] = {
    "name": "little",
    "seed": 3,
    "duration_s": 2,
    "kinds": [
        {
            "name": "visitors",
            "arrivals": {"process": "constant", "rate_per_s": 1.5},
            "length": {"distribution": "fixed", "seconds": 2},
            "person": str(PICTURES / "person.jpg"),
            "garments": [str(PICTURES / "garment-pink-stripes.png"), str(PICTURES / "garment-brown-plain.png")],
        }
    ],
    "generator": {"workers": 1, "lag_limit_s": 5},
    "objectives": {"run": [{"figure": "failed_ratio", "at_most": 0}]},
}


def content(**changes: Any) -> dict[str, Any]:
    """A scenario's content; `kinds__0__length` changes within."""
    made = copy.deepcopy(_CONTENT)
    for path, value in changes.items():
        *way, last = [int(part) if part.isdecimal() else part for part in path.split("__")]
        inner: Any = made
        for part in way:
            inner = inner[part] if isinstance(inner, list) else inner.setdefault(part, {})
        inner[last] = value
    return made


def scenario(**changes: Any) -> Scenario:
    return Scenario.model_validate(content(**changes))


def scenario_file(folder: Path, **changes: Any) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(content(**changes)))
    return path


def loaded(folder: Path, **changes: Any) -> Scenario:
    return load(scenario_file(folder, **changes))


def record(**changes: Any) -> SessionRecord:
    """A session without a fault: due at 10 s, three chunks of a second, each a second after the other."""
    given: dict[str, Any] = {
        "index": 0,
        "kind": "visitors",
        "behaviour": "prompt",
        "tenant": "anyone",
        "worker": 0,
        "due_s": 10.0,
        "began_s": 10.0,
        "length_s": 3.0,
        "opened_s": 10.1,
        "ended_s": 13.0,
        "outcome": Outcome.COMPLETED,
        "chunk_received_s": (10.5, 11.5, 12.5),
        "chunk_pts_s": (0.0, 1.0, 2.0),
        "chunk_duration_s": (1.0, 1.0, 1.0),
    }
    return SessionRecord(**{**given, **changes})


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """The whole service over its fake engine, in a process of its own."""
    folder = tmp_path_factory.mktemp("service")
    with local_service(folder, engine="fake", blocks="16") as running:
        yield running
