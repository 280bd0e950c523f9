"""Motions are smooth, cyclic, visible, and stay in the picture."""

from dataclasses import replace

import numpy as np
import pytest

from training.world import Action, GarmentType, Motion, Part, Sample, Split, draw_sample, joints, masks
from training.world.motion import Amplitude, Side, Tempo

STEPS = 32


@pytest.fixture(scope="module")
def sample() -> Sample:
    return draw_sample(2, Split.TRAIN, frames=1, kind=GarmentType.UPPER)


@pytest.fixture(params=[(action, side) for action in Action for side in Side], ids=lambda p: f"{p[0]}-{p[1].name}")
def motion(request: pytest.FixtureRequest) -> Motion:
    action, side = request.param
    return Motion(
        action=action, side=side, tempo=Tempo.QUICKLY, amplitude=Amplitude.WIDE, cycles_per_second=0.6, phase0=0.25
    )


def _cycle(sample: Sample, motion: Motion) -> np.ndarray:
    """float [STEPS, J, 2]."""
    return np.stack([joints(sample.person, motion.pose(k / STEPS)) for k in range(STEPS)])


def test_no_joint_jumps_within_a_cycle_or_at_its_end(sample: Sample, motion: Motion) -> None:
    steps = np.linalg.norm(np.diff(_cycle(sample, motion), axis=0, append=_cycle(sample, motion)[:1]), axis=-1)
    assert steps.max() < 10
    bends = np.abs(np.diff(steps, axis=0, append=steps[:1]))
    assert bends.max() < 4


def test_limbs_move_visibly(sample: Sample, motion: Motion) -> None:
    assert np.ptp(_cycle(sample, motion), axis=0).max() > 18


def test_the_body_never_stands_still(sample: Sample, motion: Motion) -> None:
    """Somewhere a joint moves by a third of a pixel a 32nd of a cycle, so a velocity has a sign everywhere."""
    cycle = _cycle(sample, motion)
    speed = np.linalg.norm(np.diff(cycle, axis=0, append=cycle[:1]), axis=-1).max(1)
    assert speed.min() > 0.33


def test_no_pose_is_passed_twice_in_a_cycle(sample: Sample, motion: Motion) -> None:
    cycle = _cycle(sample, motion)
    apart = np.abs(cycle[:, None] - cycle[None]).max((2, 3))
    away = np.abs((np.arange(STEPS)[:, None] - np.arange(STEPS) + STEPS // 2) % STEPS - STEPS // 2) >= 3
    assert apart[away].min() > 1.0


def test_the_widest_person_stays_in_the_picture(sample: Sample, motion: Motion) -> None:
    person = replace(sample.person, build=type(sample.person.build).BROAD, stature=type(sample.person.stature).TALL)
    for k in range(0, STEPS, 4):
        labels = masks(person, sample.outfit, motion.pose(k / STEPS)).labels
        border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        assert (border == Part.SCENE).all()


def test_the_phase_is_linear_in_time_and_wraps(motion: Motion) -> None:
    assert motion.phase(0) == pytest.approx(0.25)
    assert motion.phase(20) == pytest.approx(0.25 + 1.0 - 1.0)
    assert 0 <= motion.phase(17) < 1


def test_every_tempo_takes_a_cycle_of_one_and_a_half_to_three_and_a_half_seconds() -> None:
    for tempo in Tempo:
        assert 1 / (tempo.value * 1.05) >= 1.5
        assert 1 / (tempo.value * 0.95) <= 3.5
