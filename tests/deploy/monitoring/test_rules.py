"""Rules and alerts: what is committed is what the code gives, promtool agrees, and each alert is explained."""

import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from deploy.monitoring.__main__ import HERE, main, rendered
from deploy.monitoring.charts import NOW, ROWS
from deploy.monitoring.rules import groups
from service.telemetry import Telemetry

RULES = [rule for group in groups() for rule in group["rules"]]
ALERTS = sorted({rule["alert"] for rule in RULES if "alert" in rule})
QUERIES = [query.expr for charts in (NOW, *ROWS.values()) for chart in charts for query in chart.queries]


def test_the_committed_files_are_what_the_code_gives() -> None:
    assert main(["--check"]) == 0


def test_a_file_that_differs_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {path: text + "#" for path, text in rendered().items()}
    monkeypatch.setattr("deploy.monitoring.__main__.rendered", lambda: changed)
    assert main(["--check"]) == 1
    assert "rules.yaml: differs" in capsys.readouterr().out


def test_promtool_finds_no_fault_in_the_rules() -> None:
    promtool("check", "rules", "--lint-fatal", str(HERE / "rules.yaml"))


def test_the_unit_tests_of_the_rules_pass() -> None:
    promtool("test", "rules", *map(str, sorted((HERE / "tests").glob("*.yaml"))))


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_and_has_a_heading_that_says_what_to_do(alert: str) -> None:
    tests = "".join(path.read_text() for path in (HERE / "tests").glob("*.yaml"))
    assert alert in tests
    assert f"### {alert}\n" in Path("docs/operations.md").read_text()


def test_rules_and_dashboard_ask_for_metrics_and_labels_that_the_service_has() -> None:
    telemetry = Telemetry()
    telemetry.rpc("/x", "OK", 0.0)
    telemetry.sessions({})
    telemetry.cache_slots({})
    text = generate_latest(telemetry.registry).decode()
    known = set(re.findall(r"^([a-z_]+)", text, re.MULTILINE))
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    for query in [*QUERIES, *(rule["expr"] for rule in RULES)]:
        for name in re.findall(r"chameleon_[a-z_]+|process_[a-z_]+", query):
            assert name in known, query
        for name in re.findall(r"chameleon:[a-z0-9_:]+", query):
            assert name in recorded, query
        for metric, edge in re.findall(r'(\w+)_bucket\{[^}]*le="([^"]+)"', query):
            assert f'{metric}_bucket{{le="{edge}"' in text, f"{query}: no bucket ends at the objective"


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
