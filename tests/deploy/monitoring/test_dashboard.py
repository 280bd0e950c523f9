"""The dashboard: whole in Grafana's own model, panels side by side, objectives drawn where the rules have them."""

import json
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.monitoring.charts import NOW, OBJECTIVE_ROW, ROWS
from deploy.monitoring.dashboard import build
from deploy.monitoring.objectives import OBJECTIVES

BOARD = json.loads(build())


def test_grafanas_own_model_reads_it() -> None:
    read = Dashboard.from_json(BOARD)
    assert read.title == "FashionChameleon"
    assert read.panels is not None
    assert len(read.panels) == 1 + len(NOW) + sum(1 + len(charts) for charts in ROWS.values())


def test_the_queries_of_a_panel_have_names_of_their_own() -> None:
    """Grafana finds an answer by its query's refId."""
    for panel in BOARD["panels"]:
        names = [target["refId"] for target in panel.get("targets", [])]
        assert all(names)
        assert len(set(names)) == len(names)


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        assert not overlap(one, other), (one, other)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    def apart(start: str, size: str) -> bool:
        return one[start] + one[size] <= other[start] or other[start] + other[size] <= one[start]

    return not (apart("x", "w") or apart("y", "h"))


def test_every_query_goes_to_the_chosen_source_and_pods() -> None:
    charts = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in charts} == {"${datasource}"}
    for panel in charts:
        assert all('namespace=~"$namespace"' in target["expr"] for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_each_objective_has_its_chart_with_the_budget_as_its_line(objective: Any) -> None:
    (chart,) = (chart for chart in OBJECTIVE_ROW if objective.title in chart.title)
    (panel,) = (panel for panel in BOARD["panels"] if panel["title"] == chart.title)
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, objective.budget]
