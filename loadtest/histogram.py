"""Values in an HdrHistogram: three significant digits, whatever the range, at constant cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hdrh.histogram import HdrHistogram

_UNITS = 1_000_000
"""Of 1: times are held in microseconds, ratios in millionths."""
_HIGHEST = 100_000 * _UNITS
_DIGITS = 3
_Z95 = 1.959964


class Values:
    """A distribution of values from 0 to 100,000."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._held = HdrHistogram(1, _HIGHEST, _DIGITS)
        self._sum: float | None = 0.0
        """None if only the histogram knows, whose mean is slow to find."""
        for value in values:
            self.add(value)

    def add(self, value: float) -> None:
        """ValueError if it is negative or too large."""
        if not (0 <= value <= _HIGHEST / _UNITS) or not self._held.record_value(round(value * _UNITS)):
            raise ValueError(f"a value must lie in 0 to {_HIGHEST // _UNITS}, got {value}")
        if self._sum is not None:
            self._sum += value

    def add_lag(self, lag_s: float, every_s: float) -> None:
        """How late something ran that is due every `every_s`, and with it what was due meanwhile: a stall delays all of
        that, but the first alone meets it, so that one value would leave out the rest (coordinated omission)."""
        self.add(lag_s)
        while (lag_s := lag_s - every_s) > 0:
            self.add(lag_s)

    def add_all(self, other: Values) -> None:
        self._held.add(other._held)
        self._sum = None if self._sum is None or other._sum is None else self._sum + other._sum

    @property
    def count(self) -> int:
        return int(self._held.total_count)

    def percentile(self, percent: float) -> float:
        """0 if there are no values."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """The same for many, in one pass over the histogram."""
        if not self.count:
            return [0.0] * len(percents)
        found = self._held.get_percentile_to_value_dict([min(percent, 100.0) for percent in percents])
        return [found[min(percent, 100.0)] / _UNITS for percent in percents]

    def percentile_interval(self, percent: float) -> tuple[float, float] | None:
        """The percentile's 95 % confidence interval from order statistics, free of assumptions about the distribution.
        None if there are too few values to give both ends."""
        share, count = percent / 100, self.count
        spread = _Z95 * math.sqrt(count * share * (1 - share))
        low, high = math.floor(count * share - spread), math.ceil(count * share + spread) + 1
        if count == 0 or low < 1 or high > count:
            return None
        lowest, highest = self.percentiles((100 * low / count, 100 * high / count))
        return lowest, highest

    @property
    def mean(self) -> float:
        if self._sum is not None:
            return self._sum / max(1, self.count)
        return float(self._held.get_mean_value()) / _UNITS

    @property
    def low(self) -> float:
        return float(self._held.get_min_value()) / _UNITS if self.count else 0.0

    @property
    def high(self) -> float:
        return float(self._held.get_max_value()) / _UNITS if self.count else 0.0

    def encoded(self) -> bytes:
        """HdrHistogram's V2 format, compressed and in base64."""
        return bytes(self._held.encode())

    @classmethod
    def decoded(cls, encoded: bytes) -> Values:
        values = cls()
        values._held, values._sum = HdrHistogram.decode(encoded), None
        return values
