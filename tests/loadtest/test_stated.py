"""The proof of the harness: every check is there, and what is late on purpose is told.

No delay may be measured shorter than it was stated; how much longer is bounded by what the run says of its own lag, so
that a busy machine proves no less and does not fail.
"""

from pathlib import Path

import pytest
from rich.console import Console

from loadtest.histogram import Values
from loadtest.selfcheck import Check, Proof, SelfCheck
from tests.loadtest.conftest import record
from tests.loadtest.test_summary import report_of

GRAIN_S = 0.02
TOLERANCE_S = 0.1


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> SelfCheck:
    made = Proof(tmp_path_factory.mktemp("proof"), Console(quiet=True), tolerance_s=TOLERANCE_S)
    made.run(sessions=20, hold_s=1.0)
    return made.found()


def check(proof: SelfCheck, name: str) -> Check:
    return next(found for found in proof.checks if found.name.startswith(name))


@pytest.mark.parametrize(
    "name",
    [
        "delays: opened_s",
        "delays: time_to_first_frame_s",
        "delays: rejected_after_s",
        "delays: switch_acknowledged_s",
        "delays: switch_applied_s",
        "delays: switch_received_s",
        "delays: switch_displayed_s",
        "delays: stall_s",
    ],
)
def test_a_stated_delay_is_measured_as_it_was_stated(proof: SelfCheck, name: str) -> None:
    found = check(proof, name)
    assert found.held, found
    late_s = 0.0
    if name.removeprefix("delays: ") in {"switch_applied_s", "switch_received_s", "stall_s"}:  # they end with a chunk
        first = check(proof, "delays: time_to_first_frame_s")
        late_s = first.measured[2] - first.stated
    assert found.measured[0] >= found.allowed[0] >= found.stated - GRAIN_S - late_s - 1e-6


@pytest.mark.parametrize(
    ("found", "lag_s", "held"),
    [
        ([1.0, 1.0, 9.0], 0.0, True),
        ([0.97, 1.0, 1.0], 0.0, False),
        ([1.0, 1.1, 1.1], 0.001, True),
        ([1.0, 1.11, 1.11], 0.001, False),
        ([1.0, 1.4, 1.4], 0.1, True),
        ([], 0.0, False),
    ],
)
def test_a_check_is_tight_below_and_as_wide_above_as_the_runs_own_lag(
    tmp_path: Path, found: list[float], lag_s: float, held: bool
) -> None:
    report = report_of(record(), lags=(Values([lag_s] * 100),))
    made = Proof(tmp_path, Console(quiet=True), tolerance_s=TOLERANCE_S)
    assert made._check("delay", 1.0, found, report).held is held


def test_what_a_late_beginning_takes_away_is_spared(tmp_path: Path) -> None:
    made = Proof(tmp_path, Console(quiet=True), tolerance_s=TOLERANCE_S)
    assert made._check("delay", 1.0, [0.9], report_of(record()), spared_s=0.09).held
    assert not made._check("delay", 1.0, [0.87], report_of(record()), spared_s=0.09).held


def test_a_session_that_waits_in_line_is_measured_from_when_it_was_due(proof: SelfCheck) -> None:
    """Coordinated omission would show as 0.2 s."""
    for place in (1, 11, 20):
        found = check(proof, f"queue: wait of arrival {place}")
        assert found.held, found
    assert found.measured[0] >= 2.1 - GRAIN_S


def test_rejections_and_failures_are_counted_apart(proof: SelfCheck) -> None:
    assert check(proof, "delays: sessions rejected").measured[0] == 2
    assert check(proof, "delays: sessions failed").measured[0] == 0


def test_a_generator_that_stood_still_calls_its_run_invalid(proof: SelfCheck) -> None:
    assert check(proof, "a late generator calls its run invalid").held


def test_it_says_how_many_it_drove_and_at_what_cost(proof: SelfCheck, tmp_path: Path) -> None:
    assert 1 < proof.sessions <= 20
    assert proof.cores_used is not None
    assert proof.cores_used > 0
    assert SelfCheck.model_validate_json(proof.model_dump_json()) == proof
