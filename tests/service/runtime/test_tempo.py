"""A chunk's own time: what the service took, not what others held back."""

import pytest

from service.core.steps import Step, StepKind
from service.runtime.tempo import Tempo


def step(kind: StepKind, sequence: int, runnable_s: float = 0.0) -> Step:
    return Step(
        id=0,
        session_id="s",
        block=0,
        kind=kind,
        deadline_s=0.0,
        runnable_s=runnable_s,
        sequence=sequence,
        segment=0,
        chunk=sequence,
    )


def first_chunk(tempo: Tempo) -> None:
    """Ready at 1 s; its clean pass ended at 0.8 s."""
    tempo.step_ended(step(StepKind.PREFILL, 0), 0.1)
    tempo.step_began(step(StepKind.DENOISE, 0, 0.1), 0.1)
    tempo.step_ended(step(StepKind.COMMIT, 0), 0.8)
    tempo.chunk_ready(0, 1.0)


def test_the_first_chunk_has_no_time_of_its_own_yet() -> None:
    tempo = Tempo()
    tempo.step_began(step(StepKind.DENOISE, 0, 0.1), 0.3)
    made = tempo.chunk_ready(0, 1.0)
    assert made.own_s is None
    assert made.chunk_s == pytest.approx(0.7)


def test_a_chunk_that_starts_at_once_takes_all_the_time_since_the_one_before() -> None:
    tempo = Tempo()
    first_chunk(tempo)
    tempo.step_began(step(StepKind.DENOISE, 1, 0.8), 1.1)
    made = tempo.chunk_ready(1, 2.5)
    assert made.own_s == pytest.approx(1.5)
    assert made.chunk_s == pytest.approx(1.4)


def test_what_pacing_held_back_does_not_count() -> None:
    tempo = Tempo()
    first_chunk(tempo)
    tempo.step_began(step(StepKind.DENOISE, 1, 3.0), 3.1)
    assert tempo.chunk_ready(1, 3.5).own_s == pytest.approx(0.5)


def test_a_hold_that_ended_before_the_last_chunk_was_ready_takes_nothing_off() -> None:
    tempo = Tempo()
    first_chunk(tempo)
    tempo.step_began(step(StepKind.DENOISE, 1, 0.9), 0.9)
    assert tempo.chunk_ready(1, 1.6).own_s == pytest.approx(0.6)


def test_a_pause_before_a_switch_does_not_count_but_the_switch_does() -> None:
    tempo = Tempo()
    first_chunk(tempo)
    tempo.goes_on(11.0)
    tempo.step_ended(step(StepKind.PREFILL, 1), 11.4)
    tempo.step_began(step(StepKind.DENOISE, 1, 11.4), 11.4)
    assert tempo.chunk_ready(1, 12.0).own_s == pytest.approx(1.0)


def test_a_repeated_first_pass_does_not_start_the_chunk_again() -> None:
    tempo = Tempo()
    first_chunk(tempo)
    tempo.step_began(step(StepKind.DENOISE, 1, 0.8), 0.8)
    tempo.step_began(step(StepKind.DENOISE, 1, 0.8), 5.0)
    made = tempo.chunk_ready(1, 6.0)
    assert made.chunk_s == pytest.approx(5.2)
    assert made.own_s == pytest.approx(5.0)
