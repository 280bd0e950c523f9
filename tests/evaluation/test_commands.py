"""The commands' tasks on one small case each, what they write, and what they refuse."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contract.cache_plan import Policy
from evaluation.__main__ import main
from evaluation.cases import Case
from evaluation.commands import switch
from evaluation.commands.drift import DriftTask
from evaluation.commands.stages import StagesTask, _named
from evaluation.commands.switch import CaseResult, SwitchTask
from evaluation.conditions import DEFAULT, Kind, SessionPlan, conditions
from evaluation.pool import Bench
from evaluation.report import Table, write_json
from evaluation.score import METRICS
from evaluation.weights import UNTRAINED, digest
from student.student import Student

PLAN = SessionPlan(chunks_before=1, chunks_after=2)
ROWS = conditions([DEFAULT.policy, Policy.KEEP_MOTION], [True])


@pytest.fixture(scope="module", autouse=True)
def _few_phases() -> Iterator[None]:
    """A quarter of the drawings: what is tested here is what is done with marks, not how good they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluation.cases.PHASES", 16)
        yield


@pytest.fixture(scope="module")
def result(bench: Bench, small_case: Case) -> CaseResult:
    pictured = frozenset({(small_case.seed, small_case.index)})
    return SwitchTask(conditions=ROWS, plan=PLAN, pictured=pictured)(bench, small_case)


def test_a_switching_case_has_every_mark_of_every_row(result: CaseResult) -> None:
    assert set(result.marks) == {row.name for row in ROWS}
    for marks in result.marks.values():
        assert {metric.name for metric in METRICS} <= set(marks)


def test_real_drawings_stand_above_an_untrained_student(result: CaseResult) -> None:
    real, untrained = result.marks[Kind.REAL.value], result.marks[DEFAULT.name]
    assert real["garment_delta_e"] < 3 < untrained["garment_delta_e"]
    assert real["iou"] > 0.9 > untrained["iou"]


def test_the_report_holds_table_figures_and_pictures(result: CaseResult, tmp_path: Path) -> None:
    options = argparse.Namespace(
        seeds=[3], endpoint=None, degradation=2, weights=UNTRAINED, chunks_before=1, chunks_after=2, out=tmp_path
    )
    text = switch.write([result], options, tmp_path).read_text()
    content = json.loads((tmp_path / "switch.json").read_text())
    assert all(row.name in text for row in ROWS)
    assert "2 denoising passes left out" in text
    assert content["seeds"] == [3]
    assert content["weights_sha256"] == digest(UNTRAINED)
    assert content["rows"][Kind.REAL.value]["iou"]["cases"] == 1
    assert Policy.KEEP_MOTION.value in content["difference_from_default"]
    assert (tmp_path / f"switch-{result.name}.jpg").stat().st_size > 1000


def test_both_kinds_of_prompt_are_rows_where_the_last_frame_alone_carries_the_motion() -> None:
    names = {row.name for row in conditions(list(Policy), [True, False])}
    assert "keep_motion, no phase in the prompt" in names
    assert "refresh, no phase in the prompt" not in names
    assert "refresh, no phase in the prompt" in {row.name for row in conditions(list(Policy), [False])}


def test_drift_judges_the_last_training_length_of_each_multiple(bench: Bench, small_case: Case) -> None:
    found = DriftTask(multiples=[1, 2], chunks=2)(bench, small_case)
    assert list(found.marks) == ["1x", "2x"]
    assert np.isnan(found.marks["2x"]["jump"])
    assert found.marks["1x"] != found.marks["2x"]


def test_stages_sample_the_teacher_with_guidance_and_measure_speed(
    bench: Bench, small_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_stage(path: str, like: Student) -> Student:
        opened.append(path)
        return like

    monkeypatch.setattr("evaluation.commands.stages.open_stage", open_stage)
    task = StagesTask(stages={"teacher": "a", "student": "b"}, chunks=2, steps=40, guidance=3.0)
    found = task(bench, small_case)
    assert opened == ["a", "b"]
    speeds = {name: marks["backbone_fps"] for name, marks in found.marks.items()}
    assert 0 < speeds["teacher"] < speeds["student"]


def test_a_stage_is_a_name_and_a_path() -> None:
    assert _named(["teacher=a/b", "dmd=c=d"]) == {"teacher": "a/b", "dmd": "c=d"}
    for wrong in (["teacher"], ["a=b", "a=c"], ["=b"]):
        with pytest.raises(ValueError, match="NAME=PATH"):
            _named(wrong)


def test_a_table_needs_cases_and_json_says_null(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no cases"):
        Table(marks=[])
    write_json(tmp_path / "x.json", {"a": float("nan"), "b": [1.0, float("inf")]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [1.0, None]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["switch", "--seeds", "1,1"], "all different"),
        (["switch", "--seeds", "one"], "whole numbers"),
        (["switch", "--policies", "refreshing"], "known: all, refresh"),
        (["stages"], "--stage"),
        (["parity"], "--endpoint"),
    ],
)
def test_wrong_arguments_are_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["switch", "--seeds", "1,2,3", "--cases", "2"], "do not spread"),
        (["switch", "--chunks-after", "1"], "at least one and two"),
        (["drift", "--train-chunks", "0"], "at least 1"),
        (["stages", "--stage", "teacher"], "NAME=PATH"),
        (["switch", "--endpoint", "127.0.0.1:1", "--degradation", "1"], "--degradation is the rollout's"),
        (["parity", "--weights", "no/such/folder", "--endpoint", "127.0.0.1:1"], "no/such/folder"),
        (["hgc-bench", "--bench", ".", "--endpoint", "127.0.0.1:1", "--metrics", "VQ"], "--model VQ=PATH"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
