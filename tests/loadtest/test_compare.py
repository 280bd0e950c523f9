"""Comparison: worse only if it is beyond tolerance and beyond chance."""

from random import Random
from typing import Any

import pytest

from loadtest.compare import Change, Compared, Tolerance, compare
from loadtest.histogram import Values
from loadtest.report import ProcessState, RunReport
from tests.loadtest.conftest import record
from tests.loadtest.test_summary import report_of


def run(*, slower: float = 1.0, sessions: int = 300, seed: int = 1, **changes: Any) -> RunReport:
    """Sessions whose first frames come after 0.3 to 0.7 s, times `slower`."""
    random = Random(seed)
    firsts = [slower * random.uniform(0.3, 0.7) for _ in range(sessions)]
    records = [record(chunk_received_s=(10 + first, 11 + first, 12 + first)) for first in firsts]
    return report_of(*records, **changes)


def found(before: RunReport, after: RunReport, name: str) -> Compared:
    rows = compare(before, after, Tolerance())
    return next(row for row in rows if row.group == "all" and row.name == name)


def test_two_runs_alike_have_nothing_worse() -> None:
    rows = compare(run(seed=1), run(seed=2), Tolerance())
    assert {row.change for row in rows} <= {Change.SAME, Change.UNSURE}


def test_a_slower_run_is_worse_and_a_faster_one_better() -> None:
    worse = found(run(), run(slower=1.4, seed=2), "time_to_first_frame_s p95")
    assert worse.change is Change.WORSE
    assert worse.ratio == pytest.approx(1.4, rel=0.05)
    assert found(run(), run(slower=0.6, seed=2), "time_to_first_frame_s p95").change is Change.BETTER


def test_what_is_within_the_tolerance_is_the_same() -> None:
    name = "time_to_first_frame_s p95"
    rows = compare(run(sessions=3000), run(slower=1.08, sessions=3000), Tolerance(share=0.1))
    assert next(row for row in rows if row.group == "all" and row.name == name).change is Change.SAME
    rows = compare(run(sessions=3000), run(slower=1.08, sessions=3000), Tolerance(share=0.05))
    assert next(row for row in rows if row.group == "all" and row.name == name).change is Change.WORSE


def test_few_sessions_leave_it_open() -> None:
    assert found(run(sessions=8), run(slower=1.4, sessions=8), "time_to_first_frame_s p95").change is Change.UNSURE


def test_a_lower_realtime_factor_is_worse() -> None:
    slow = report_of(*[record(chunk_received_s=(10.5, 12.0, 13.5))] * 300)
    assert found(run(), slow, "realtime_factor p50").change is Change.WORSE
    assert found(slow, run(), "realtime_factor p50").change is Change.BETTER


def test_fewer_good_sessions_are_worse() -> None:
    spoiled = run(wanted={"objectives__session": {"time_to_first_frame_s": 0.4}})
    row = next(r for r in compare(run(), spoiled, Tolerance()) if r.name == "good_ratio")
    assert row.change is Change.WORSE


def grown(resident: int = 0, threads: int = 0) -> RunReport:
    before = ProcessState(cpu_s=0, resident_bytes=10**8, descriptors=9, threads=9, shared_memory_bytes=0)
    after = before.model_copy(update={"resident_bytes": 10**8 + resident, "threads": 9 + threads})
    return run(process=(before, after))


@pytest.mark.parametrize(
    ("before", "after", "name", "change"),
    [
        ({"threads": -1}, {"threads": 0}, "thread_growth", Change.SAME),
        ({"threads": 0}, {"threads": 1}, "thread_growth", Change.WORSE),
        ({"threads": 1}, {"threads": 0}, "thread_growth", Change.BETTER),
        ({}, {"resident": 15_000_000}, "resident_growth_bytes", Change.SAME),
        ({}, {"resident": 17_000_000}, "resident_growth_bytes", Change.WORSE),
    ],
)
def test_a_process_that_grew_more_is_worse(
    before: dict[str, int], after: dict[str, int], name: str, change: Change
) -> None:
    (row,) = (row for row in compare(grown(**before), grown(**after), Tolerance()) if row.name == name)
    assert (row.group, row.change) == ("process", change)


def test_growth_that_one_run_alone_watched_is_left_open_and_what_neither_did_is_not_told() -> None:
    rows = [row for row in compare(run(), grown(), Tolerance()) if row.group == "process"]
    assert [row.name for row in rows] == [
        "resident_growth_bytes", "descriptor_growth", "thread_growth", "shared_memory_growth_bytes",
    ]  # fmt: skip
    assert {row.change for row in rows} == {Change.UNSURE}
    assert not [row for row in compare(run(), run(), Tolerance()) if row.group == "process"]


def test_runs_of_different_scenarios_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different scenarios: seed differ"):
        compare(run(), run(wanted={"seed": 9}), Tolerance())


def test_a_run_that_does_not_count_is_not_compared() -> None:
    late = run(lags=(Values([0.5]),))
    with pytest.raises(ValueError, match="the second run does not count"):
        compare(run(), late, Tolerance())
    with pytest.raises(ValueError, match="the first run was cut short: gone"):
        compare(run(aborted="gone"), run(), Tolerance())
