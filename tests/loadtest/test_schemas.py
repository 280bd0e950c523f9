"""What is committed of the schemas is what the code says."""

import json

import jsonschema
import pytest
import yaml

from loadtest.record import RECORD
from loadtest.scenario import SHIPPED
from loadtest.schemas import FOLDER, schemas
from tests.loadtest.conftest import record
from tests.loadtest.test_summary import rejected, report_of


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_committed_schema_is_the_codes(name: str) -> None:
    assert (FOLDER / name).read_text() == schemas()[name], "run `python -m loadtest schema`"


def test_what_is_written_and_shipped_fits_the_committed_schemas() -> None:
    report = report_of(record(), rejected())
    _validate("report", json.loads(report.model_dump_json()))
    _validate("session", json.loads(RECORD.dump_json(record())))
    for path in SHIPPED.glob("*.yaml"):
        _validate("scenario", yaml.safe_load(path.read_text()))


def _validate(name: str, content: object) -> None:
    jsonschema.validate(content, json.loads((FOLDER / f"{name}.schema.json").read_text()))
