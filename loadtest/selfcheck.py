"""Proof of the harness: against a server whose delays are stated, it must measure what was stated."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.console import Console

from loadtest import plan
from loadtest.ending import RunCut
from loadtest.judge import Judged
from loadtest.measures import Measure
from loadtest.model import Model
from loadtest.report import GeneratorHealth, RunReport
from loadtest.run import Run
from loadtest.scenario import Scenario
from loadtest.serving import served
from loadtest.stated import Stated
from loadtest.store import REPORT, Store
from loadtest.summary import summarise

_DRAIN_S = 20.0
"""Beyond the length of a session that began last."""
_LENGTH_S = 4.0
_RATE = 4.0
_SWITCH_S = 1.1
_OPENED_PER_S = 50.0
_HICCUP_AFTER_S, _HICCUP_S = 1.0, 0.8
_GRAIN_S = 0.02
"""Of all clocks and rounding together: nothing is measured shorter than stated by more."""
_HANDOVERS = 4
"""Between processes and loops within one stage; each may be as late as the workers' loops were at their worst."""


class Check(Model):
    """A number that was stated, and what the harness made of it. `measured`: lowest, median and highest; it held if the
    lowest and the median lie within `allowed`."""

    name: str
    stated: float
    allowed: tuple[float, float]
    measured: tuple[float, float, float]
    held: bool


class SelfCheck(Model):
    """The whole proof, or what there is of it."""

    format: Literal[1] = 1
    tolerance_s: float
    held: bool
    checks: list[Check]
    lag_p99_s: float | None = Field(
        description="the generator's own, while it drove `sessions` at once; null: it did not"
    )
    sessions: int
    cores_used: float | None = Field(description="CPU seconds of all workers for each second, then")
    cut_short: str | None = Field(description="why the proof stopped before its end")


DELAYS = Stated(
    create_s=0.05, first_s=0.3, chunk_s=0.5, late_chunk=6, late_s=1.5, accept_s=0.1, reject_every=5, reject_s=0.02
)
QUEUE = Stated(serial_s=0.2)


class Proof:
    """Runs the checks, one after the other; every run's results lie in a folder of its own."""

    def __init__(self, out: Path, console: Console, *, tolerance_s: float) -> None:
        self._out = out
        self._console = console
        self._tolerance_s = tolerance_s
        self._checks: list[Check] = []
        self._generator: GeneratorHealth | None = None
        """While it drove many."""

    def run(self, *, sessions: int, hold_s: float) -> None:
        """
        Raises:
            RunCut, TargetError, StoreError, KeyboardInterrupt: see `ending`; what was checked until then is `found`.
        """
        for checks in (self._delays(), self._queue(), self._late_generator(), self._many(sessions, hold_s)):
            self._checks.extend(checks)

    def found(self, *, cut_short: str | None = None) -> SelfCheck:
        """So far."""
        of = self._generator
        return SelfCheck(
            tolerance_s=self._tolerance_s,
            held=cut_short is None and all(check.held for check in self._checks),
            checks=self._checks,
            lag_p99_s=None if of is None else of.lag.percentiles["99"],
            sessions=0 if of is None else of.peak_open,
            cores_used=None if of is None else sum(w.cpu_s for w in of.workers) / max(w.wall_s for w in of.workers),
            cut_short=cut_short,
        )

    def _delays(self) -> Iterator[Check]:
        """Each stage of a session and of a switch, a stall, a rejection."""
        report, judged = self._drive("delays", DELAYS, duration_s=2.5, rate=_RATE, switch_s=_SWITCH_S)
        stated = DELAYS
        first_s = stated.create_s + stated.first_s
        # The switch is accepted at 1.2 s behind the first frame; chunks leave every 0.5 s, so it rides on the one at
        # 1.5 s, which is the fourth of 0.5 s behind chunk 0 and shown at 2.0 s.
        boundary_s = 1.5 - _SWITCH_S
        stall_s = stated.late_s - stated.chunk_s
        expected = {
            Measure.OPENED: stated.create_s,
            Measure.FIRST_FRAME: first_s,
            Measure.REJECTED_AFTER: stated.reject_s,
            Measure.SWITCH_ACKNOWLEDGED: stated.accept_s,
            Measure.SWITCH_APPLIED: boundary_s,
            Measure.SWITCH_RECEIVED: boundary_s,
            Measure.SWITCH_DISPLAYED: 2.0 - _SWITCH_S,
            Measure.STALL: stall_s,
        }
        values = {measure: [v for session in judged for v in session.values.get(measure, ())] for measure in expected}
        # However often a starved player stands still on the way: a session's stalls together are what was stated.
        values[Measure.STALL] = [sum(stalls) for s in judged if (stalls := s.values.get(Measure.STALL))]
        # These end with a chunk, which keeps to the server's time, and begin with the first frame's receipt.
        late_s = max(values[Measure.FIRST_FRAME], default=first_s) - first_s
        shortened = {Measure.SWITCH_APPLIED, Measure.SWITCH_RECEIVED, Measure.STALL}
        for measure, value in expected.items():
            spared_s = late_s if measure in shortened else 0.0
            yield self._check(f"delays: {measure}", value, values[measure], report, spared_s=spared_s)
        counts = report.groups[0].counts
        yield self._count("delays: sessions rejected", counts.due // stated.reject_every, counts.rejected)
        yield self._count("delays: sessions failed", 0, counts.failed + counts.unfinished + counts.never_begun)

    def _queue(self) -> Iterator[Check]:
        """Sessions come twice as fast as the server takes them: the i-th waits for all before it. A harness that waited
        with them would see 0.2 s each time."""
        report, judged = self._drive("queue", QUEUE, duration_s=2.0, rate=10.0, length_s=1.0)
        waits = sorted((session.record.due_s, session.values.get(Measure.OPENED, ())) for session in judged)
        for place in (0, len(waits) // 2, len(waits) - 1):
            wait_s = (place + 1) * QUEUE.serial_s - place * 0.1
            yield self._check(f"queue: wait of arrival {place + 1}", wait_s, list(waits[place][1]), report)

    def _late_generator(self) -> Iterator[Check]:
        """A worker that is stopped for a while must make the run invalid, whatever the server does."""
        report, _ = self._drive("late", Stated(first_s=0.1), duration_s=3.0, rate=10.0, length_s=1.0, on_begin=_hiccup)
        yield self._count("a late generator calls its run invalid", 1, int(not report.generator.valid))

    def _many(self, sessions: int, hold_s: float) -> Iterator[Check]:
        """As many sessions at once as asked for, in real time."""
        ramp_s = max(1.0, sessions / _OPENED_PER_S)
        stated = Stated(first_s=0.1)
        length_s = ramp_s + hold_s + 2 * stated.chunk_s  # the first two chunks come at once
        rate = sessions / ramp_s
        report, _ = self._drive("many", stated, duration_s=ramp_s, rate=rate, length_s=length_s, workers=2)
        counts, self._generator = report.groups[0].counts, report.generator
        good = counts.due - counts.rejected - counts.failed - counts.unfinished - counts.never_begun
        yield Check(
            name=f"{sessions} sessions at once, on time",
            stated=sessions,
            allowed=(sessions, sessions),
            measured=(good, report.generator.peak_open, good),
            held=report.generator.valid and good == sessions and report.generator.peak_open >= sessions,
        )

    def _drive(
        self,
        name: str,
        stated: Stated,
        *,
        duration_s: float,
        rate: float,
        length_s: float = _LENGTH_S,
        switch_s: float | None = None,
        workers: int = 1,
        on_begin: Callable[[], None] = lambda: None,
    ) -> tuple[RunReport, list[Judged]]:
        """RunCut if it did not go to its end."""
        self._console.print(f"self-check: {name}", highlight=False)
        self._out.mkdir(parents=True, exist_ok=True)
        picture = self._out / "picture"
        picture.write_bytes(b"any bytes: the stated server looks at no picture")
        kind: dict[str, Any] = {
            "name": "stated",
            "arrivals": {"process": "constant", "rate_per_s": rate},
            "length": {"distribution": "fixed", "seconds": length_s},
            "person": picture,
            "garments": [picture],
        }
        if switch_s is not None:
            kind["switches"] = {"when": "at", "seconds": [switch_s]}
        scenario = Scenario.model_validate(
            {
                "name": name,
                "duration_s": duration_s,
                "kinds": [kind],
                "player": {"start_buffer_s": 0, "resume_buffer_s": 0},
                "generator": {"workers": workers},
                "patience": {"drain_s": length_s + _DRAIN_S},
                "objectives": {"run": [{"figure": "failed_ratio", "at_most": 0}]},
            }
        )
        folder = self._out / name
        command = shlex.join([sys.executable, "-m", "loadtest.stated", stated.model_dump_json()])
        with served(command, folder / "server.log") as setting, Store(folder) as store:
            observed = Run(scenario, plan.open_loop(scenario), setting, store, self._console, on_begin=on_begin).go()
            report, judged = summarise(observed)
            store.write(REPORT, report.model_dump_json(indent=1) + "\n")
        if report.aborted is not None:
            raise RunCut(report.aborted, report.exit)
        return report, judged

    def _check(
        self, name: str, stated: float, found: list[float], report: RunReport, *, spared_s: float = 0.0
    ) -> Check:
        """Nothing may come earlier than stated but for a clock's grain, and the median not later than tolerated and
        than the run's own lag explains. `spared_s`: what a late beginning takes away."""
        low_s = stated - _GRAIN_S - spared_s
        high_s = stated + self._tolerance_s + _HANDOVERS * report.generator.lag.high
        ordered = sorted(found) or [0.0]
        median = ordered[len(ordered) // 2]
        return Check(
            name=name,
            stated=stated,
            allowed=(round(low_s, 6), round(high_s, 6)),
            measured=(ordered[0], median, ordered[-1]),
            held=bool(found) and low_s <= ordered[0] and median <= high_s,
        )

    @staticmethod
    def _count(name: str, stated: int, found: int) -> Check:
        return Check(
            name=name,
            stated=stated,
            allowed=(stated, stated),
            measured=(found, found, found),
            held=stated == found,
        )


def _hiccup() -> None:
    """Stops the workers for a moment in the middle of a run, as a machine that is too busy would."""

    def stop_and_go() -> None:
        time.sleep(_HICCUP_AFTER_S)
        workers = multiprocessing.active_children()
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for worker in workers:
                if worker.pid is not None and worker.is_alive():
                    os.kill(worker.pid, number)
            if number is signal.SIGSTOP:
                time.sleep(_HICCUP_S)

    threading.Thread(target=stop_and_go, name="hiccup", daemon=True).start()
