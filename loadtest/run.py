"""One run: everything that happens between a scenario and what was observed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import psutil
from rich.console import Console

from loadtest import process, target
from loadtest.fleet import Fleet, shared_out
from loadtest.histogram import Values
from loadtest.messages import Done, Ended, Job
from loadtest.observed import Load, Observed
from loadtest.plan import Seat, probe
from loadtest.progress import Progress
from loadtest.record import SessionRecord
from loadtest.report import Exit, ProcessState
from loadtest.scenario import Scenario
from loadtest.scrape import Scraper
from loadtest.session import SessionDriver, Supplies
from loadtest.setting import Setting
from loadtest.store import Store, StoreError
from loadtest.target import Target

GONE_S = 3.0
"""A target that refuses connections for so long is lost."""
_ASK_EVERY_S = 0.5


class Run:
    """Seats, a target, and a store that takes every session as it ends. `go` once."""

    def __init__(
        self,
        scenario: Scenario,
        seats: Sequence[Seat],
        setting: Setting,
        store: Store,
        console: Console,
        *,
        closed: bool = False,
        on_begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._scenario = scenario
        self._seats = seats
        self._setting = setting
        self._store = store
        self._console = console
        self._closed = closed
        self._on_begin = on_begin
        self._tokens = target.tokens(scenario)
        self._records: list[SessionRecord] = []
        self._lags: list[Values] = []
        self._loads: list[Load] = []
        self._cut: tuple[str, Exit] | None = None
        self._unsaved = False
        self._refused_since_s: float | None = None
        self._asked_s = 0.0

    def go(self) -> Observed:
        """
        Raises:
            TargetError: the service cannot be reached at the start, or refuses a garment.
        """
        scenario, setting = self._scenario, self._setting
        load_before = os.getloadavg()[0]
        supplies = target.supply(setting.target, scenario, self._tokens)
        if scenario.prime:
            _prime(scenario, setting.target, supplies, self._tokens)
            time.sleep(scenario.settle_s)
        before = None if setting.pid is None else process.process_state(setting.pid)
        started = datetime.now(UTC)
        shares = shared_out(self._seats, scenario.generator.workers)
        due = () if self._closed else tuple((seat[0].due_s, seat[0].kind) for seat in self._seats)
        until_s = scenario.duration_s + scenario.patience.drain_s
        scraper = Scraper(setting.metrics, every_s=scenario.metrics.every_s)
        progress = Progress(self._console, scenario.name, due=len(due), until_s=until_s)
        scraper.sample()
        with scraper, Fleet(lambda n, seats: self._job(n, seats, supplies), shares) as fleet:
            origin_s = fleet.set_off()
            self._on_begin()
            scraper.start(lambda: time.monotonic() - origin_s)
            with progress:
                self._listen(fleet, progress, origin_s)
            wall_s = time.monotonic() - origin_s
        after = self._after(before)
        scraper.sample()
        return Observed(
            scenario=scenario,
            target=setting.target.address,
            closed=self._closed,
            started=started,
            wall_s=wall_s,
            due=due,
            records=tuple(self._records),
            lags=tuple(self._lags),
            loads=tuple(self._loads),
            worker_faults=tuple(fleet.faults),
            aborted=None if self._cut is None else self._cut[0],
            exit=None if self._cut is None else self._cut[1],
            server=scraper.found(),
            process=None if before is None or after is None else (before, after),
            machine=process.machine(load_before),
        )

    def _job(self, worker: int, seats: tuple[Seat, ...], supplies: Supplies) -> Job:
        scenario = self._scenario
        return Job(
            worker=worker,
            target=self._setting.target,
            tokens=self._tokens,
            seats=seats,
            supplies=supplies,
            patience=scenario.patience,
            closed=self._closed,
            until_s=scenario.duration_s + scenario.patience.drain_s,
            close_seats_s=scenario.duration_s,
        )

    def _listen(self, fleet: Fleet, progress: Progress, origin_s: float) -> None:
        while fleet.busy:
            try:
                for report in fleet.hear():
                    progress.hear(report)
                    if isinstance(report, Ended):
                        self._keep(report.record, fleet)
                    elif isinstance(report, Done):
                        self._lags.append(Values.decoded(report.lag))
                        self._loads.append(Load(worker=report.worker, cpu_s=report.cpu_s, wall_s=report.wall_s))
                now_s = time.monotonic() - origin_s
                progress.show(now_s)
                self._watch_target(fleet, now_s)
            except KeyboardInterrupt:
                self._cut_short(fleet, "interrupted", Exit.INTERRUPTED)

    def _keep(self, record: SessionRecord, fleet: Fleet) -> None:
        """In memory in any case; on disk until that fails."""
        self._records.append(record)
        if self._unsaved:
            return
        try:
            self._store.session(record)
        except StoreError as error:
            self._unsaved = True
            self._cut_short(fleet, str(error), Exit.STORAGE)

    def _watch_target(self, fleet: Fleet, now_s: float) -> None:
        """A target that is gone will not come back for a load test: what was seen so far is the result."""
        if self._cut is not None or now_s - self._asked_s < _ASK_EVERY_S:
            return
        self._asked_s = now_s
        if self._setting.target.listens():
            self._refused_since_s = None
        elif self._refused_since_s is None:
            self._refused_since_s = now_s
        elif now_s - self._refused_since_s >= GONE_S:
            said = f"{self._setting.target.address} has refused connections since second {self._refused_since_s:.1f}"
            self._cut_short(fleet, said, Exit.TARGET)

    def _cut_short(self, fleet: Fleet, why: str, status: Exit) -> None:
        if self._cut is None:
            self._cut = why, status
            fleet.stop()

    def _after(self, before: ProcessState | None) -> ProcessState | None:
        """None if the process is gone, or was not watched."""
        try:
            time.sleep(self._scenario.settle_s if self._cut is None else 0.0)
        except KeyboardInterrupt:
            self._cut = "interrupted", Exit.INTERRUPTED
        if before is None or self._setting.pid is None:
            return None
        try:
            return process.process_state(self._setting.pid)
        except psutil.NoSuchProcess:
            return None


def _prime(scenario: Scenario, at: Target, supplies: Supplies, tokens: dict[str, str | None]) -> None:
    """Short sessions together, which nothing is noted of: pools and caches that fill once are filled."""

    async def sessions() -> None:
        plans = [probe(scenario, number) for number in range(scenario.prime)]
        async with at.client(tokens[plans[0].tenant]) as client:
            drivers = [
                SessionDriver(
                    plan,
                    due_s=0.0,
                    client=client,
                    supplies=supplies,
                    patience=scenario.patience,
                    now=time.monotonic,
                    on_opened=lambda: None,
                    on_chunk=lambda: None,
                )
                for plan in plans
            ]
            await asyncio.gather(*(driver.run(worker=-1) for driver in drivers))

    asyncio.run(sessions())
