"""Held-out cases are functions of the seeds."""

from __future__ import annotations

import numpy as np
import pytest

from contract.cache_plan import Policy
from evaluation.cases import Case, draw_case, spread
from training.world import Split, split_of


def test_the_same_seed_and_index_give_the_same_case(small_case: Case) -> None:
    again = draw_case(small_case.seed, small_case.index, small_case.size)
    assert np.array_equal(again.sample.reference, small_case.sample.reference)
    assert again.prompt(0) == small_case.prompt(0)
    other = draw_case(small_case.seed, small_case.index + 1, small_case.size)
    assert other.session_seed != small_case.session_seed


def test_person_garments_and_motion_are_held_out(small_case: Case) -> None:
    sample = small_case.sample
    parts = (sample.person, sample.motion, sample.worn, sample.garment, sample.other)
    assert {split_of(part.key) for part in parts} == {Split.EVALUATION}


def test_the_prompt_at_a_switch_tells_the_phase_of_the_frame_to_come(small_case: Case) -> None:
    restarting, going_on = Policy.REFRESH_WITHDRAW_DISENTANGLE, Policy.KEEP_MOTION
    assert small_case.prompt_at_switch(33, restarting, phase=True) == small_case.prompt(32)
    assert small_case.prompt_at_switch(33, going_on, phase=True) == small_case.prompt(33)
    assert "phase" not in small_case.prompt_at_switch(33, going_on, phase=False)


def test_cases_spread_evenly_over_the_seeds() -> None:
    assert spread([5, 7, 9], 7) == [(5, 0), (5, 1), (5, 2), (7, 0), (7, 1), (9, 0), (9, 1)]


@pytest.mark.parametrize(("seeds", "cases"), [([1, 1], 4), ([], 4), ([0], 4), ([1, 2, 3], 2)])
def test_cases_that_do_not_spread_are_refused(seeds: list[int], cases: int) -> None:
    with pytest.raises(ValueError, match="seeds"):
        spread(seeds, cases)
