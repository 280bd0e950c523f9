"""The proof of the harness: every check is there, and what is late on purpose is told."""

from pathlib import Path

import pytest
from rich.console import Console

from loadtest.selfcheck import Check, Proof, SelfCheck


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> SelfCheck:
    """With times that a starved machine keeps too: what is proved here is what is measured, not how exactly."""
    folder = tmp_path_factory.mktemp("proof")
    return Proof(folder, Console(quiet=True), tolerance_s=5.0).run(sessions=20, hold_s=1.0)


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
def test_nothing_is_measured_shorter_than_it_was_stated(proof: SelfCheck, name: str) -> None:
    found = check(proof, name)
    assert found.held
    if "switch" not in name and "stall" not in name:  # those hang on chunk boundaries, which a late start moves
        assert found.measured[0] >= found.stated - 0.001


def test_a_session_that_waits_in_line_is_measured_from_when_it_was_due(proof: SelfCheck) -> None:
    """Coordinated omission would show as 0.2 s."""
    assert check(proof, "queue: wait of arrival 20").measured[0] >= 2.0


def test_rejections_and_failures_are_counted_apart(proof: SelfCheck) -> None:
    assert check(proof, "delays: sessions rejected").measured[0] == 2
    assert check(proof, "delays: sessions failed").measured[0] == 0


def test_a_generator_that_stood_still_calls_its_run_invalid(proof: SelfCheck) -> None:
    assert check(proof, "a late generator calls its run invalid").held


def test_it_says_how_many_it_drove_and_at_what_cost(proof: SelfCheck, tmp_path: Path) -> None:
    assert 1 < proof.sessions <= 20
    assert proof.cores_used > 0
    assert SelfCheck.model_validate_json(proof.model_dump_json()) == proof
