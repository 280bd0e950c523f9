"""Inputs of the simulation: what is accepted, what is refused and how it is told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulation.scenario import ScenarioError, read
from tests.simulation.small import PROFILE, SCENARIO, changed

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "simulation" / "scenarios").glob("*.yaml"))


def write(folder: Path, **changes: Any) -> Path:
    (folder / "profile.yaml").write_text(yaml.safe_dump(PROFILE))
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(changed(SCENARIO, changes)))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_read_and_measured_step_times_say_where_they_were_measured(path: Path) -> None:
    _, profile = read(path)
    named = re.findall(r"docs/[a-z0-9/.-]+\w", profile.source)
    assert all((ROOT / name).is_file() for name in named)
    assert named or profile.origin == "computed floor, not measured"


def test_the_h200s_measured_step_times_are_those_of_its_report() -> None:
    _, profile = read(ROOT / "simulation/scenarios/h200-480x832.yaml")
    rows = json.loads((ROOT / "docs/reports/gpu/h200.json").read_text())["rows"]

    def seconds(what: str, precision: str) -> float:
        (row,) = (row for row in rows if (row["what"], row["precision"], row["size"]) == (what, precision, "480x832"))
        return float(row["median_ms"]) / 1000

    assert profile.origin == "measured"
    assert profile.times.pass_s == pytest.approx(seconds("clean pass", "fp8"), rel=0.01)
    assert profile.times.prefill_s == pytest.approx(seconds("prefill, reference and garment", "fp8"), rel=0.01)
    assert profile.times.decode_s == pytest.approx(3 * seconds("decode, one latent", "bfloat16"), rel=0.01)


def test_every_wrong_field_is_named_with_its_path(tmp_path: Path) -> None:
    path = write(tmp_path, hours=-1, pod={"bloks": 3}, policies={"p": {"sessions": 1.5}, "q": {}})
    with pytest.raises(ScenarioError) as caught:
        read(path)
    message = str(caught.value)
    for field in ("hours", "pod.bloks", "policies.p.sessions", "policies.q"):
        assert f"{path}: {field}: " in message


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"policies": {"p": {"sessions": 0.5, "pods": 3}}}, "not both"),
        ({"autoscaler": {"least_pods": 13}}, "least_pods is above most_pods"),
        ({"autoscaler": {"most_pods": 100}}, "node.most is fewer"),
        ({"node": {"start_s": [60, 30]}}, "the least comes first"),
        ({"profile": "nowhere.yaml"}, "No such file"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        read(write(tmp_path, **changes))


def test_a_file_that_is_no_yaml_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [")
    with pytest.raises(ScenarioError, match=r"broken\.yaml"):
        read(path)


def test_a_profile_must_say_where_its_times_come_from(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(PROFILE | {"origin": "trust me"}))
    with pytest.raises(ScenarioError, match="origin"):
        read(path)
