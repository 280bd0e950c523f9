"""The command: files out, exit statuses, and the origin of step times on everything."""

import json
from pathlib import Path

import pytest
import yaml

from simulation.command import main
from tests.simulation.small import PROFILE, SCENARIO, changed

ORIGIN = "computed floor, not measured"


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(PROFILE))
    path = tmp_path / "scenario.yaml"
    changes = {"hours": 0.1, "pod": {"blocks": 1}, "demand": {"median_s": 10}}
    path.write_text(yaml.safe_dump(changed(SCENARIO, changes), sort_keys=False))
    return path


def test_json_table_and_plot_are_written_and_each_repeats_where_step_times_come_from(
    scenario_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(scenario_file), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert findings["step_times_origin"] == ORIGIN
    assert [day["policy"] for day in findings["policies"]] == ["sessions", "fixed"]
    for text in (printed.out, printed.err, (tmp_path / "out" / "table.md").read_text(), findings["headline"]):
        assert ORIGIN in text
    assert (tmp_path / "out" / "day.png").read_bytes().startswith(b"\x89PNG")


def test_one_policy_and_another_seed_can_be_asked_for(scenario_file: Path, tmp_path: Path) -> None:
    assert main([str(scenario_file), "--policy", "fixed", "--seed", "5", "--out", str(tmp_path / "out")]) == 0
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert ([day["policy"] for day in findings["policies"]], findings["scenario"]["seed"]) == (["fixed"], 5)


def test_a_wrong_input_is_status_2_with_the_reason(scenario_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scenario_file), "--policy", "dream"]) == 2
    assert "no such policy: dream; there are: sessions, fixed" in capsys.readouterr().err
    assert main([str(scenario_file.parent / "none.yaml")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert main([]) == 2


def test_results_that_cannot_be_written_are_status_5_and_the_table_is_printed_all_the_same(
    scenario_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(scenario_file), "--policy", "fixed", "--out", str(scenario_file)]) == 5
    printed = capsys.readouterr()
    assert "could not be written" in printed.err
    assert "fixed" in printed.out


def test_the_schema_describes_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"demand", "gateway", "pod", "node", "autoscaler", "policies"} <= schema["properties"].keys()
