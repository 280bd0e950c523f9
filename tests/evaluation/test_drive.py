"""Scripts and the reference rollout as their driver."""

from __future__ import annotations

import numpy as np
import pytest

from contract.cache_plan import Policy
from evaluation.cases import Case
from evaluation.conditions import CONTROLS, DEFAULT, Condition, Kind, SessionPlan
from evaluation.drive.reference import ReferenceDriver
from evaluation.drive.script import Opening, Script, Switch
from student.student import Student

PLAN = SessionPlan(chunks_before=1, chunks_after=2)


@pytest.mark.parametrize(
    ("policy", "starts"),
    [(Policy.REFRESH, (0, 9, 21, 33)), (Policy.KEEP_MOTION, (0, 9, 21, 33))]
    + [(policy, (0, 9, 18, 30)) for policy in Policy if policy.restarts_video],
)
def test_a_script_knows_where_chunks_begin(
    small_case: Case, student: Student, policy: Policy, starts: tuple[int, ...]
) -> None:
    switch = Switch(chunk=1, garment=small_case.sample.product, policy=policy)
    assert Script(opening=PLAN.opening(small_case), chunks=3, switch=switch).starts(student.geometry) == starts


def test_scripts_that_share_an_opening_give_what_each_gives_alone(small_case: Case, student: Student) -> None:
    wanted = (Condition(kind=Kind.SWITCH, policy=Policy.KEEP_MOTION), DEFAULT, Condition(kind=Kind.NO_SWITCH))
    together = PLAN.play(ReferenceDriver(student), small_case, wanted)
    for condition in wanted:
        alone = PLAN.play(ReferenceDriver(student), small_case, [condition])[condition.name]
        assert np.array_equal(together[condition.name].frames, alone.frames)
        assert together[condition.name].starts == alone.starts


@pytest.mark.parametrize("degradation", [1, 2])
def test_passes_are_left_out_of_all_chunks_but_a_segments_first(
    small_case: Case, student: Student, degradation: int
) -> None:
    script = PLAN.switch(small_case, student.geometry, DEFAULT)
    (full,), (fewer,) = (ReferenceDriver(student, degradation=left).play([script]) for left in (0, degradation))
    last = script.starts(student.geometry)[2]
    assert np.array_equal(fewer.frames[:last], full.frames[:last]), "the first chunks of two segments"
    assert not np.array_equal(fewer.frames[last:], full.frames[last:])


def test_the_clips_start_chunks_where_the_script_says(small_case: Case, student: Student) -> None:
    script = PLAN.switch(small_case, student.geometry, DEFAULT)
    (clip,) = ReferenceDriver(student).play([script])
    assert (*clip.starts, len(clip.frames)) == script.starts(student.geometry)


def test_a_hard_restart_goes_on_from_the_same_frames_with_a_new_session(small_case: Case, student: Student) -> None:
    clips = PLAN.play(ReferenceDriver(student), small_case, CONTROLS)
    restarted, unswitched = clips[Kind.RESTART.value], clips[Kind.NO_SWITCH.value]
    assert np.array_equal(restarted.frames[:9], unswitched.frames[:9])
    assert restarted.starts == (0, 9, 18)
    fresh = Opening(
        person=small_case.sample.reference,
        garment=small_case.product(small_case.sample.other),
        prompt=small_case.prompt(0),
        seed=small_case.session_seed,
    )
    (alone,) = ReferenceDriver(student).play([Script(opening=fresh, chunks=2)])
    assert np.array_equal(restarted.frames[9:], alone.frames)


def test_a_session_without_a_seed_or_a_late_switch_is_refused(small_case: Case) -> None:
    sample = small_case.sample
    with pytest.raises(ValueError, match="seed"):
        Opening(person=sample.reference, garment=sample.product, prompt="She waves.", seed=0)
    switch = Switch(chunk=2, garment=sample.product, policy=Policy.REFRESH)
    with pytest.raises(ValueError, match="before the last"):
        Script(opening=PLAN.opening(small_case), chunks=2, switch=switch)


def test_a_prompt_that_does_not_fit_is_refused(small_case: Case, student: Student) -> None:
    sample = small_case.sample
    long = Opening(person=sample.reference, garment=sample.product, prompt="x" * 200, seed=1)
    with pytest.raises(ValueError, match="tokens"):
        ReferenceDriver(student).play([Script(opening=long, chunks=1)])
