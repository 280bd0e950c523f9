"""The command: `python -m simulation SCENARIO`, also `python -m loadtest simulate SCENARIO`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from simulation import report
from simulation.day import load_curve, simulate
from simulation.results import Findings
from simulation.scenario import Scenario, ScenarioError, read

DESCRIPTION = "Simulate a fleet over a day, once for each autoscaling policy of the scenario: cost, refusals, misses."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", type=Path, nargs="?", help="YAML, as those in simulation/scenarios")
    parser.add_argument("--out", type=Path, help="folder for findings.json, table.md and day.png")
    parser.add_argument("--policy", action="append", metavar="NAME", help="only this one (may be given again)")
    parser.add_argument("--seed", type=int, help="instead of the scenario's")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of scenarios and leave")


def main(arguments: list[str] | None = None, prog: str = "python -m simulation") -> int:
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Exit status: 0 done, 2 an input is wrong, 5 the results could not be written (as `loadtest.report.Exit`)."""
    if options.schema:
        print(json.dumps(Scenario.model_json_schema(), indent=2))
        return 0
    if options.scenario is None:
        return _refuse("a scenario is needed: see simulation/scenarios, or --schema")
    try:
        scenario, profile = read(options.scenario)
        names = _chosen(scenario, options.policy)
    except ScenarioError as error:
        return _refuse(str(error))
    if options.seed is not None:
        scenario = scenario.model_copy(update={"seed": options.seed})
    console = Console(stderr=True)
    console.print(f"{scenario.name}: {profile.name}; step times: {profile.origin}")
    figures = load_curve(scenario, profile) if scenario.pods_are == "coarse" else None
    days = []
    for name in names:
        began_s = time.perf_counter()
        days.append(simulate(scenario, profile, name, scenario.policies[name], figures))
        console.print(f"  {name}: {days[-1].books.asked} sessions, {time.perf_counter() - began_s:.1f} s")
    findings = Findings(scenario=scenario, profile=profile, curve=figures, days=tuple(days))
    Console(width=180).print(report.table(findings))
    return 0 if options.out is None else _write(findings, options.out)


def _chosen(scenario: Scenario, names: list[str] | None) -> list[str]:
    if unknown := [name for name in names or () if name not in scenario.policies]:
        raise ScenarioError(f"no such policy: {', '.join(unknown)}; there are: {', '.join(scenario.policies)}")
    return names or list(scenario.policies)


def _write(findings: Findings, folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "findings.json").write_text(json.dumps(findings.to_json()) + "\n", "utf-8")
        (folder / "table.md").write_text(report.markdown(findings), "utf-8")
        report.plot(findings, folder / "day.png")
    except OSError as error:
        print(f"the results could not be written: {error}", file=sys.stderr)
        return 5
    return 0


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 2
