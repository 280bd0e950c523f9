"""What is held out never occurs in training."""

from collections import defaultdict
from random import Random

from training.world import Action, GarmentType, Pattern, Split, draw_garment, draw_motion, draw_person, split_of
from training.world.motion import Amplitude, Motion, Side, Tempo

SEEDS = 150


def test_no_person_garment_or_motion_occurs_in_both_splits() -> None:
    keys = defaultdict(set)
    for seed in range(SEEDS):
        for split in Split:
            draw = Random(f"{split}/{seed}")
            keys[split].add(draw_person(draw, split).key)
            keys[split].add(draw_motion(draw, split).key)
            keys[split].update(draw_garment(draw, split, type_).key for type_ in GarmentType)
    assert len(keys[Split.TRAIN]) > SEEDS
    assert not keys[Split.TRAIN] & keys[Split.EVALUATION]


def test_colours_patterns_and_actions_occur_in_both_splits() -> None:
    for split in Split:
        draw = Random(0)
        garments = [draw_garment(draw, split, type_) for type_ in GarmentType for _ in range(SEEDS)]
        assert len({g.colour for g in garments}) == 24
        assert {g.pattern for g in garments} == set(Pattern)


def test_every_action_has_at_least_two_motions_held_out() -> None:
    held_out = [m for m in _motions() if split_of(m.key) is Split.EVALUATION]
    for action in Action:
        assert sum(m.action is action for m in held_out) >= 2
    assert len(held_out) < len(_motions()) / 5


def _motions() -> list[Motion]:
    return [
        Motion(action=a, side=s, tempo=t, amplitude=m, cycles_per_second=1.0, phase0=0.0)
        for a in Action
        for s in Side
        for t in Tempo
        for m in Amplitude
    ]
