"""The service's own metrics, scraped beside the run, on a thread of its own."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from types import TracebackType

from prometheus_client.parser import text_string_to_metric_families

from loadtest.report import Series, ServerMetrics
from loadtest.target import TargetError

_ANSWER_S = 5.0
_BUCKETS = "_bucket"


class Scraper:
    """Scrapes `sources` (host:port of /metrics) from `start` until it is closed; without sources it does nothing."""

    def __init__(self, sources: Sequence[str], *, every_s: float) -> None:
        self._sources = tuple(sources)
        self._every_s = every_s
        self._samples: list[tuple[float, dict[str, float]]] = []
        self._failed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scraper", daemon=True)
        self._now: Callable[[], float] = lambda: 0.0

    def start(self, now: Callable[[], float]) -> None:
        """`now`: seconds from the run's start."""
        self._now = now
        if self._sources:
            self._thread.start()

    def close(self) -> None:
        """No more samples but those asked for."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * _ANSWER_S)

    def __enter__(self) -> Scraper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def sample(self) -> None:
        """Take one now: before a run and after it, when all is at rest."""
        values: dict[str, float] = {}
        at_s = self._now()
        for source in self._sources:
            try:
                values |= scrape(source)
            except TargetError:  # a service that is going away; the report says how often
                self._failed += 1
        if values:
            self._samples.append((at_s, values))

    def found(self) -> ServerMetrics | None:
        """None without sources."""
        if not self._sources:
            return None
        first = self._samples[0][1] if self._samples else {}
        last = self._samples[-1][1] if self._samples else {}
        return ServerMetrics(
            sources=list(self._sources),
            scrapes=len(self._samples),
            failed=self._failed,
            first=first,
            last=last,
            series={key: series for key in sorted(last) if (series := self._series(key)) is not None},
        )

    def _series(self, key: str) -> Series | None:
        """None if it never changed."""
        points = [(at_s, values[key]) for at_s, values in self._samples if key in values]
        if len({value for _, value in points}) < 2:
            return None
        return Series(at_s=[round(at_s, 2) for at_s, _ in points], value=[value for _, value in points])

    def _run(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s += self._every_s
            if self._stop.wait(max(0.0, due_s - time.monotonic())):
                return
            self.sample()


def scrape(source: str) -> dict[str, float]:
    """What `source` (host:port of /metrics) says now, as `parse` tells it.

    Raises:
        TargetError: it does not answer, or with something else.
    """
    try:
        with urllib.request.urlopen(f"http://{source}/metrics", timeout=_ANSWER_S) as answer:
            return parse(answer.read().decode())
    except (OSError, ValueError, HTTPException) as error:
        raise TargetError(f"no metrics can be read at http://{source}/metrics (--metrics): {error}") from None


def parse(text: str) -> dict[str, float]:
    """Sample name with its labels -> value; without histograms' buckets.

    Raises:
        ValueError: it is no Prometheus text.
    """
    return {
        _key(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(_BUCKETS) and sample.value == sample.value
    }


def _key(name: str, labels: dict[str, str]) -> str:
    return name + ("{" + ",".join(f"{k}={v}" for k, v in sorted(labels.items())) + "}" if labels else "")
