"""The Grafana dashboard made of the charts."""

from __future__ import annotations

import json
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from deploy.monitoring.charts import NOW, ROWS, Chart

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH = 24
_HEIGHT = 8


def build() -> str:
    """The dashboard as JSON text."""
    board = (
        dashboard.Dashboard("FashionChameleon")
        .uid("fashionchameleon")
        .tags(["fashionchameleon"])
        .refresh("30s")
        .time("now-3h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("namespace"))
        .with_variable(_variable("job"))
    )
    numbers = count(1)  # Grafana links to a panel by its number
    board.with_row(dashboard.Row("Now").id(next(numbers)))
    for chart in NOW:
        board.with_panel(_stat(chart, width=_WIDTH // len(NOW)).id(next(numbers)))
    for title, charts in ROWS.items():
        board.with_row(dashboard.Row(title).id(next(numbers)))
        width = _WIDTH // (4 if len(charts) % 4 == 0 else 3)
        for chart in charts:
            board.with_panel(_time_series(chart, width=width).id(next(numbers)))
    return json.dumps(board.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _variable(label: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(label)
        .datasource(_SOURCE)
        .query(f"label_values(chameleon_engine_up, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
    )


def _stat(chart: Chart, *, width: int) -> stat.Panel:
    panel = stat.Panel().title(chart.title).unit(chart.unit).datasource(_SOURCE).span(width).height(_HEIGHT // 2)
    return panel.with_target(prometheus.Dataquery().expr(chart.queries[0].expr).instant().ref_id("A"))


def _time_series(chart: Chart, *, width: int) -> timeseries.Panel:
    panel = timeseries.Panel().title(chart.title).unit(chart.unit).datasource(_SOURCE).span(width).height(_HEIGHT)
    panel.description(chart.explanation).min(0).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    for number, query in enumerate(chart.queries):
        ref_id = chr(ord("A") + number)
        panel.with_target(prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref_id))
    if chart.limit is not None:
        steps = [Threshold(value=None, color="transparent"), Threshold(value=chart.limit, color="red")]
        panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    return panel
