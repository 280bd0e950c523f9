"""JSON schemas of what the harness reads and writes; committed under `schema/`."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from loadtest.record import SessionRecord
from loadtest.report import RunReport
from loadtest.scenario import Scenario
from loadtest.search import SearchReport
from loadtest.selfcheck import SelfCheck

FOLDER = Path(__file__).parent / "schema"
_MODELS: dict[str, type[BaseModel]] = {
    "scenario": Scenario,
    "report": RunReport,
    "search": SearchReport,
    "self-check": SelfCheck,
}


def schemas() -> dict[str, str]:
    """File name -> its text."""
    made = {name: model.model_json_schema() for name, model in _MODELS.items()}
    made["session"] = TypeAdapter(SessionRecord).json_schema()
    return {f"{name}.schema.json": json.dumps(schema, indent=1) + "\n" for name, schema in sorted(made.items())}


def write_schemas(*, check: bool) -> list[str]:
    """Write those that differ from what is committed, or with `check` only name them."""
    stale = []
    for name, text in schemas().items():
        path = FOLDER / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, "utf-8")
    return stale
