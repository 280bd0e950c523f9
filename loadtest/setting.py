"""Where a run takes place, and what of the service can be watched there."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from loadtest.measures import GROUP_FIGURES
from loadtest.objectives import FigureObjective, MetricObjective
from loadtest.process import process_state
from loadtest.scenario import Scenario
from loadtest.scrape import scrape
from loadtest.target import Target, check_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`metrics`: host:port of each /metrics; `pid`: of a service on this machine."""

    target: Target
    metrics: tuple[str, ...] = ()
    pid: int | None = None

    def __post_init__(self) -> None:
        for address in self.metrics:
            check_address("--metrics", address)

    def check(self, scenario: Scenario) -> None:
        """Whether everything that the objectives judge can be seen: half an hour later is too late to find out.

        Raises:
            ValueError: an objective needs what is not given, or the process cannot be watched.
            TargetError: metrics cannot be scraped.
        """
        for index, objective in enumerate(scenario.objectives.run):
            field = f"objectives.run.{index}"
            match objective:
                case MetricObjective(metric=metric) if not self.metrics:
                    raise ValueError(f"{field} is of the service's metric {metric}: --metrics must say where it is")
                case FigureObjective(figure=figure) if figure not in GROUP_FIGURES and self.pid is None:
                    raise ValueError(f"{field} is of the service's process ({figure}): --pid must say which that is")
        for address in self.metrics:
            scrape(address)
        if self.pid is not None:
            try:
                process_state(self.pid)
            except (psutil.Error, ValueError) as error:
                raise ValueError(f"--pid {self.pid} cannot be watched: {error}") from None
