"""A recorded trace, read with the scenario."""

from pathlib import Path

import pytest

from loadtest.arrivals import TraceArrivals
from loadtest.plan import open_loop
from loadtest.scenario import Scenario, ScenarioError
from tests.loadtest.conftest import loaded


def traced(folder: Path, text: str, **changes: object) -> Scenario:
    (folder / "recorded.csv").write_text(text)
    return loaded(folder, kinds__0__arrivals={"process": "trace", "file": "recorded.csv"}, **changes)


def test_a_trace_beside_the_scenario_is_replayed(tmp_path: Path) -> None:
    read = traced(tmp_path, "at_s,visitor\n1.5,a\n\n0.25,b\n99,c\n")
    assert read.kinds[0].arrivals == TraceArrivals(process="trace", at_s=[1.5, 0.25, 99])
    assert [seat[0].due_s for seat in open_loop(read)] == [0.25, 1.5]


def test_a_report_holds_the_trace_itself(tmp_path: Path) -> None:
    read = traced(tmp_path, "0.5\n")
    (tmp_path / "recorded.csv").unlink()
    assert Scenario.model_validate(read.model_dump(mode="json")) == read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("at_s\n1\nsoon\n", r"row 3: a time must lie in 0 to 86400 s, got 'soon'"),
        ("1\n-1\n", r"row 2: .* got '-1'"),
        ("nan\n", r"row 1: .* got 'nan'"),
        ("at_s\n", "must hold 1 to 1000000 times, got 0"),
    ],
)
def test_a_trace_with_a_wrong_row_is_told_by_its_field(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=rf"kinds\.visitors\.arrivals\.file: .*recorded\.csv.* ?{words}"):
        traced(tmp_path, text)


def test_a_trace_that_is_not_there_is_told_by_its_field(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"kinds\.visitors\.arrivals\.file: .*nowhere\.csv cannot be read"):
        loaded(tmp_path, kinds__0__arrivals={"process": "trace", "file": "nowhere.csv"})


@pytest.mark.parametrize("given", [{}, {"at_s": []}, {"at_s": [1], "file": "recorded.csv"}])
def test_a_trace_has_one_source(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(ScenarioError, match=r"kinds\.0\.arrivals\.trace.*exactly one of at_s and file"):
        loaded(tmp_path, kinds__0__arrivals={"process": "trace", **given})
