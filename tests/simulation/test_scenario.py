"""Inputs of the simulation: what is accepted, what is refused and how it is told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from simulation.scenario import ScenarioError, read
from tests.simulation.small import PROFILE, SCENARIO, changed

SHIPPED = sorted((Path(__file__).parents[2] / "simulation" / "scenarios").glob("*.yaml"))


def write(folder: Path, **changes: Any) -> Path:
    (folder / "profile.yaml").write_text(yaml.safe_dump(PROFILE))
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(changed(SCENARIO, changes)))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_read_and_5b_step_times_never_call_themselves_measured(path: Path) -> None:
    _, profile = read(path)
    assert profile.origin == ("computed floor, not measured" if profile.student == "5b" else "measured")


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
