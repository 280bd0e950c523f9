"""Scenarios: what is wrong is told whole, field by field, with the limit."""

import statistics
from pathlib import Path
from typing import Any

import pytest

from loadtest.plan import closed_loop, open_loop
from loadtest.scenario import SHIPPED, ScenarioError, find, load
from tests.loadtest.conftest import content, loaded, scenario, scenario_file


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_that_ships_loads_and_is_named_as_its_file(path: Path) -> None:
    assert load(path).name == path.stem


def test_shipped_scenarios_are_found_by_name_and_by_the_path_they_have_in_the_package() -> None:
    assert (
        find(Path("smoke")) == find(Path("smoke.yaml")) == find(Path("scenarios/smoke.yaml")) == SHIPPED / "smoke.yaml"
    )


@pytest.mark.parametrize(
    ("changes", "field", "limit"),
    [
        ({"duration_s": -1}, "duration_s", "greater than 0 (got -1)"),
        ({"duraton_s": 1}, "duraton_s", "Extra inputs are not permitted"),
        ({"kinds": []}, "kinds", "at least 1 item"),
        ({"kinds__0__format": "avi"}, "kinds.0.format", "'h264', 'jpeg' or 'raw' (got 'avi')"),
        ({"kinds__0__arrivals__rate_per_s": 0}, "kinds.0.arrivals.constant.rate_per_s", "greater than 0"),
        ({"kinds__0__arrivals__process": "bursts"}, "kinds.0.arrivals", "'poisson', 'constant', 'ramp', 'trace'"),
        ({"kinds__0__reader": {"behaviour": "slow", "speed": 2}}, "kinds.0.reader.slow.speed", "less than 1"),
        (
            {"kinds__0__length": {"distribution": "uniform", "low_s": 3, "high_s": 2}},
            "kinds.0.length",
            "at least low_s",
        ),
        ({"kinds__0__tenants": ["nobody"]}, "kinds.visitors", "tenant nobody is not listed"),
        ({"warmup_s": 2}, "warmup_s", "below duration_s (2)"),
        ({"objectives__run": [{"measure": "speed", "percentile": 9, "at_most": 1}]}, "objectives.run.0", "measure"),
        ({"objectives__run": [{"figure": "good_ratio"}]}, "objectives.run.0", "exactly one of at_most, at_least"),
        (
            {"objectives__run": [{"measure": "stall_s", "percentile": 9, "at_most": 1, "window": "w"}]},
            "objectives.run.0",
            "window w is not listed",
        ),
        ({"objectives__run": [{"speed": 1}]}, "objectives.run.0", "must name a measure, a figure or a metric"),
        ({"duration_s": float("nan")}, "duration_s", "finite"),
    ],
)
def test_a_wrong_field_is_named_with_its_limit(tmp_path: Path, changes: dict[str, Any], field: str, limit: str) -> None:
    with pytest.raises(ScenarioError) as error:
        loaded(tmp_path, **changes)
    assert field in str(error.value)
    assert limit in str(error.value)


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as error:
        loaded(tmp_path, duration_s=0, seed=-1)
    assert "duration_s" in str(error.value)
    assert "seed" in str(error.value)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no picture .*nobody\.jpg"):
        loaded(tmp_path, kinds__0__person="nobody.jpg")


def test_pictures_are_found_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "me.jpg").write_bytes(b"x")
    assert loaded(tmp_path, kinds__0__person="me.jpg").kinds[0].person == tmp_path / "me.jpg"


@pytest.mark.parametrize("text", ["kinds: [", "", "- 1"])
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"broken\.yaml"):
        load(path)


def test_an_unknown_name_tells_what_ships() -> None:
    with pytest.raises(ScenarioError, match="smoke"):
        load(Path("nothing"))


def test_a_plan_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    random_kind = {
        "kinds__0__arrivals": {"process": "poisson", "rate_per_s": 5},
        "kinds__0__switches": {"when": "random", "mean_interval_s": 0.5},
        "kinds__0__length": {"distribution": "lognormal", "median_s": 2, "sigma": 1, "at_most_s": 5},
    }
    assert open_loop(scenario(**random_kind)) == open_loop(scenario(**random_kind))
    assert open_loop(scenario(**random_kind)) != open_loop(scenario(**random_kind, seed=4))


def test_lengths_have_their_median_and_random_switches_their_mean_interval() -> None:
    random_kind = {
        "kinds__0__arrivals": {"process": "constant", "rate_per_s": 10},
        "kinds__0__switches": {"when": "random", "mean_interval_s": 0.5},
        "kinds__0__length": {"distribution": "lognormal", "median_s": 4, "sigma": 0.6, "at_most_s": 60},
    }
    sessions = [seat[0] for seat in open_loop(scenario(duration_s=200, **random_kind))]
    assert statistics.median(session.length_s for session in sessions) == pytest.approx(4, rel=0.05)
    switches = sum(len(session.switches) for session in sessions)
    assert sum(session.length_s for session in sessions) / switches == pytest.approx(0.5, rel=0.05)


def test_switches_go_through_the_garments_in_turn_while_the_session_lasts() -> None:
    (session,) = open_loop(scenario(kinds__0__switches={"when": "every", "seconds": 0.9}))[0]
    assert [switch.at_s for switch in session.switches] == pytest.approx([0.9, 1.8])
    assert session.switches[0].garment != session.garment == session.switches[1].garment


def test_tenants_share_sessions_by_weight() -> None:
    tenants = [{"name": "big", "weight": 9}, {"name": "small", "weight": 1}]
    plans = open_loop(scenario(tenants=tenants, duration_s=200))
    share = sum(seat[0].tenant == "small" for seat in plans) / len(plans)
    assert 0.05 < share < 0.16


def test_a_closed_loop_fills_every_seat_for_the_time_it_is_held() -> None:
    seats = closed_loop(scenario(), sessions=3, hold_s=5, stagger_s=0.5)
    assert [seat[0].due_s for seat in seats] == [0, 0.5, 1.0]
    assert all(sum(session.length_s for session in seat) >= 5 for seat in seats)
    assert len({session.index for seat in seats for session in seat}) == sum(len(seat) for seat in seats)


def test_the_default_content_of_these_tests_is_a_scenario(tmp_path: Path) -> None:
    assert load(scenario_file(tmp_path)).name == content()["name"]
