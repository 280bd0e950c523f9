"""From records to the report: who counts, what is good, what holds, and when a run does not count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from loadtest.histogram import Values
from loadtest.measures import Figure, Measure
from loadtest.observed import Load, Observed
from loadtest.page import render
from loadtest.record import Outcome, SessionRecord, SwitchRecord
from loadtest.report import Exit, Machine, ProcessState, RunReport, ServerMetrics
from loadtest.summary import distribution, summarise
from tests.loadtest.conftest import record, scenario

EMPTY: dict[str, Any] = {"chunk_received_s": (), "chunk_pts_s": (), "chunk_duration_s": ()}


def rejected(**changes: Any) -> SessionRecord:
    given = {"outcome": Outcome.REJECTED, "opened_s": None, "ended_s": 10.01, "reason": "SESSION_CAPACITY", **EMPTY}
    return record(**{**given, **changes})


def observed(*records: SessionRecord, **changes: Any) -> Observed:
    """A run of twenty seconds on a generator that is always on time."""
    wanted = changes.pop("wanted", {})
    given: dict[str, Any] = {
        "scenario": scenario(duration_s=20, **{"generator__lag_limit_s": 0.05, **wanted}),
        "target": "127.0.0.1:1",
        "closed": False,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "wall_s": 25.0,
        "due": tuple((entry.due_s, entry.kind) for entry in records),
        "records": records,
        "lags": (Values([0.001] * 100),),
        "loads": (Load(worker=0, cpu_s=1.0, wall_s=25.0),),
        "worker_faults": (),
        "aborted": None,
        "exit": None,
        "server": None,
        "process": None,
        "machine": Machine(cores=2, python="3.11", platform="Linux", load_1m=(0.0, 0.0)),
    }
    return Observed(**{**given, **changes})


def report_of(*records: SessionRecord, **changes: Any) -> RunReport:
    return summarise(observed(*records, **changes))[0]


def run_objectives(*objectives: dict[str, Any]) -> dict[str, Any]:
    return {"objectives__run": list(objectives)}


def test_every_session_that_was_due_is_counted_once() -> None:
    records = (
        record(),
        record(chunk_received_s=(10.5, 11.5, 16.0)),
        rejected(),
        record(outcome=Outcome.FAILED, reason="STREAM_CUT"),
        record(outcome=Outcome.UNFINISHED, reason="RUN_OVER"),
    )
    due = (*((entry.due_s, entry.kind) for entry in records), (15.0, "visitors"))
    wanted = {"objectives__session": {"stalls": 0}}
    report = report_of(*records, due=due, wanted=wanted)
    assert report.groups[0].counts.model_dump() == {
        "due": 6, "good": 1, "spoiled": 1, "rejected": 1, "failed": 1, "unfinished": 1, "never_begun": 1,
    }  # fmt: skip
    ratios = {Figure.GOOD_RATIO: 1 / 6, Figure.REJECTED_RATIO: 1 / 6, Figure.FAILED_RATIO: 3 / 6}
    assert {figure: report.figures[figure] for figure in ratios} == pytest.approx(ratios)


def test_goodput_counts_video_of_good_sessions_within_the_run_only() -> None:
    late = record(chunk_received_s=(19.0, 19.5, 21.0))  # its last chunk came after the run's 20 s
    failed = record(outcome=Outcome.FAILED)
    assert report_of(record(), late, failed).figures[Figure.GOODPUT] == pytest.approx((3 + 2) / 20)


def test_chunks_without_all_their_passes_are_told_of_all_that_came() -> None:
    assert report_of(record(), record(degraded_chunks=2)).figures[Figure.DEGRADED_RATIO] == pytest.approx(2 / 6)
    assert report_of(rejected()).figures[Figure.DEGRADED_RATIO] is None


def test_sessions_due_in_warm_up_are_shown_but_not_judged() -> None:
    early = record(due_s=1.0, outcome=Outcome.FAILED, reason="STREAM_CUT")
    report, judged = summarise(observed(early, record(), wanted={"warmup_s": 5}))
    assert len(judged) == 2
    assert not report.failed
    assert report.groups[0].counts.due == 1


def test_the_worst_twentieth_is_the_low_end_where_low_is_bad() -> None:
    values = [float(value) for value in range(1, 31)]  # one and a half of them: two
    assert distribution(values).worst_5_percent_mean == pytest.approx(29.5)
    assert distribution(values, low_is_bad=True).worst_5_percent_mean == pytest.approx(1.5)


def test_an_objective_that_holds_and_one_that_does_not_decide_the_exit_status() -> None:
    holds = {"measure": "time_to_first_frame_s", "percentile": 50, "at_most": 0.6}
    misses = {"measure": "time_to_first_frame_s", "percentile": 50, "at_most": 0.4}
    assert report_of(record(), wanted=run_objectives(holds)).exit is Exit.HELD
    missed = report_of(record(), wanted=run_objectives(holds, misses))
    assert [verdict.held for verdict in missed.verdicts] == [True, False]
    assert missed.exit is Exit.MISSED


def test_an_objective_of_which_nothing_was_measured_does_not_hold() -> None:
    objective = {"measure": "switch_displayed_s", "percentile": 99, "at_most": 100}
    (verdict,) = report_of(record(), wanted=run_objectives(objective)).verdicts
    assert verdict.value is None
    assert not verdict.held


def test_windows_are_compared_with_each_other() -> None:
    windows = {"windows": {"before": [0, 10], "after": [10, 20]}}
    objective = {
        "measure": "time_to_first_frame_s",
        "percentile": 50,
        "window": "after",
        "at_most_times_of_window": {"before": 1.5},
    }
    goodput = {"figure": "goodput_video_s_per_s", "window": "after", "at_least_times_of_window": {"before": 0.9}}
    early = record(due_s=4.0, opened_s=4.1, chunk_received_s=(4.3, 5.3, 6.3), ended_s=6.3)
    verdicts = report_of(early, record(), wanted={**windows, **run_objectives(objective, goodput)}).verdicts
    assert [verdict.held for verdict in verdicts] == [False, True]
    assert verdicts[0].limit == pytest.approx(0.45, rel=1e-3)


def test_a_servers_metric_may_not_grow() -> None:
    server = ServerMetrics(
        sources=["x"], scrapes=2, failed=0, first={"tasks": 3.0}, last={"tasks": 5.0, "rss{a=b}": 1.0}, series={}
    )
    objectives = (
        {"metric": "tasks", "statistic": "growth", "at_most": 0},
        {"metric": "rss", "statistic": "last", "at_most": 1},
        {"metric": "unknown", "statistic": "last", "at_most": 1},
    )
    verdicts = report_of(record(), server=server, wanted=run_objectives(*objectives)).verdicts
    assert [(verdict.value, verdict.held) for verdict in verdicts] == [(2.0, False), (1.0, True), (None, False)]


def test_growth_of_the_services_process_is_after_less_before() -> None:
    before = ProcessState(cpu_s=1.0, resident_bytes=100, descriptors=10, threads=4, shared_memory_bytes=8)
    after = ProcessState(cpu_s=1.0, resident_bytes=150, descriptors=9, threads=4, shared_memory_bytes=8)
    figures = report_of(record(), process=(before, after)).figures
    assert figures[Figure.RESIDENT_GROWTH] == 50
    assert figures[Figure.DESCRIPTOR_GROWTH] == -1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lags": (Values([0.001] * 90 + [0.2] * 10),)}, "loops were 200 ms late"),
        ({"worker_faults": ("worker 1 died (exit status -9)",)}, "worker 1 died"),
    ],
)
def test_a_late_generator_makes_the_run_invalid(changes: dict[str, Any], words: str) -> None:
    report = report_of(record(), **changes)
    assert words in " ".join(report.generator.reasons)
    assert report.exit is Exit.INVALID
    assert not report.passed


def test_sessions_begun_late_and_switches_sent_late_make_the_run_invalid() -> None:
    switch = SwitchRecord(due_s=11.0, sent_s=11.3)
    report = report_of(record(began_s=10.2, switches=(switch,)))
    assert len(report.generator.reasons) == 2


def test_sessions_that_follow_each_other_are_not_open_together() -> None:
    report = report_of(record(), record(opened_s=13.0, ended_s=14.0), record(opened_s=12.0, ended_s=12.5), rejected())
    assert report.generator.peak_open == 2


def test_a_run_cut_short_has_not_passed_though_all_that_was_seen_is_good() -> None:
    report = report_of(record(), aborted="the target went away", exit=Exit.TARGET)
    assert report.exit is Exit.TARGET
    assert not report.passed


def test_a_report_comes_back_whole_from_its_json() -> None:
    report = report_of(record(), rejected(), record(behaviour="slow"))
    assert RunReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("records", [(), (record(),), (record(), rejected(), record(behaviour="slow"))])
def test_the_page_needs_nothing_but_itself(records: tuple[SessionRecord, ...]) -> None:
    page = render(*summarise(observed(*records)))
    assert page.count("<svg") == 4
    assert "<script" not in page
    for outside in ("src=", "@import", 'href="http', "url(http"):
        assert outside not in page


def test_the_page_escapes_what_a_scenario_says() -> None:
    page = render(*summarise(observed(record(), wanted={"about": "<b>bold</b>"})))
    assert "<b>bold</b>" not in page


def test_the_page_shows_the_worst_sessions_and_the_stalls() -> None:
    stalled = record(chunk_received_s=(10.5, 14.5, 15.0))
    page = render(*summarise(observed(stalled)))
    assert "1 stalls, 3.0 s" in page
    assert Measure.REALTIME_FACTOR in page
