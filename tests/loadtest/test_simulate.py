"""`loadtest simulate` is `python -m simulation`."""

from pathlib import Path

from typer.testing import CliRunner

from loadtest.cli import app


def test_every_argument_is_handed_on_and_the_exit_status_comes_back() -> None:
    scenario = Path(__file__).parents[2] / "simulation" / "scenarios" / "smoke.yaml"
    assert CliRunner().invoke(app, ["simulate", str(scenario), "--policy", "dream"]).exit_code == 2
    assert CliRunner().invoke(app, ["simulate", "--schema"]).exit_code == 0


def test_help_is_the_simulations_own() -> None:
    result = CliRunner().invoke(app, ["simulate", "--help"])
    assert "usage: python -m loadtest simulate" in result.output
    assert "--policy" in result.output
