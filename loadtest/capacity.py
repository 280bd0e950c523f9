"""The search of capacity on a real service: every probe is a run of a closed loop, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from loadtest import plan
from loadtest.ending import ENDINGS, FAULT, RunCut, ending
from loadtest.report import Exit
from loadtest.run import Run
from loadtest.scenario import Scenario
from loadtest.search import Search, SearchReport
from loadtest.setting import Setting
from loadtest.store import REPORT, Results, Store
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
    """Search, write and tell; whatever ends the search, what it found until then is written.

    Raises:
        ValueError: the bounds are wrong.
        StoreError: what was found cannot be written.
    """

    def probe(sessions: int, repeat: int) -> bool:
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
            raise RunCut(report.aborted or "; ".join(report.generator.reasons), report.exit)
        return report.passed

    search = Search(probe=probe, low=low, high=high, repeats=repeats)
    status = Exit.INVALID
    cut_short: str | None = FAULT
    with Results(out) as results:
        try:
            status, cut_short = (Exit.HELD if search.run() else Exit.MISSED), None
        except ENDINGS as error:
            status, cut_short = ending(error)
        finally:
            found = SearchReport(
                scenario=scenario.name,
                target=setting.target.address,
                sessions=search.most,
                interval=search.interval,
                trials=search.trials,
                cut_short=cut_short,
            )
            results.write(SEARCH, found.model_dump_json(indent=1) + "\n")
            tell_search(found, console)
    return status
