"""The search of capacity on a real service: every probe is a run of a closed loop, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from loadtest import plan
from loadtest.report import Exit
from loadtest.run import Run, Setting
from loadtest.scenario import Scenario
from loadtest.search import Search, SearchCut, SearchReport
from loadtest.store import REPORT, Store, write_whole
from loadtest.summary import summarise
from loadtest.tell import tell_search

SEARCH = "search.json"
_STAGGER_S = 0.25
"""Between the seats' first sessions: capacity is what can be held, not what can be opened at one moment."""


def find(
    scenario: Scenario,
    setting: Setting,
    out: Path,
    console: Console,
    *,
    low: int,
    high: int,
    repeats: int,
    hold_s: float,
) -> Exit:
    """Search, write and tell.

    Raises:
        ValueError: the bounds are wrong.
        TargetError, StoreError: nothing can be tried, or written.
    """
    status = Exit.HELD

    def probe(sessions: int, repeat: int) -> bool:
        nonlocal status
        ramp_s = _STAGGER_S * sessions
        held = scenario.model_copy(
            update={"duration_s": ramp_s + hold_s, "warmup_s": 0.0, "seed": scenario.seed + repeat}
        )
        seats = plan.closed_loop(held, sessions=sessions, hold_s=hold_s, stagger_s=_STAGGER_S)
        console.print(f"{sessions} sessions, repeat {repeat + 1}", highlight=False)
        with Store(out / f"sessions-{sessions}-{repeat + 1}") as store:
            observed = Run(held, seats, setting, store, console, closed=True).go()
            report, _ = summarise(observed)
            store.write(REPORT, report.model_dump_json(indent=1) + "\n")
        if report.exit not in (Exit.HELD, Exit.MISSED):
            status = report.exit
            raise SearchCut(report.aborted or "; ".join(report.generator.reasons))
        return report.passed

    search = Search(probe=probe, low=low, high=high, repeats=repeats)
    most = search.run()
    found = SearchReport(
        scenario=scenario.name,
        target=setting.target.address,
        sessions=most,
        interval=search.interval,
        trials=search.trials,
        cut_short=search.cut_short,
    )
    write_whole(out / SEARCH, found.model_dump_json(indent=1) + "\n")
    tell_search(found, console)
    return status if status is not Exit.HELD or most else Exit.MISSED
