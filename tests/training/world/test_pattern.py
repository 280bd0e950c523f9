"""Patterns can be told apart at the size the network sees."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from training.world import Colour, GarmentType, Pattern, Sample, Split, draw_frame, draw_sample, masks, wear


@pytest.fixture(scope="module", params=list(GarmentType))
def sample(request: pytest.FixtureRequest) -> Sample:
    return draw_sample(21, Split.TRAIN, frames=1, kind=request.param)


def _shown(sample: Sample, pattern: Pattern, colour: Colour) -> tuple[np.ndarray, np.ndarray]:
    garment = replace(sample.garment, pattern=pattern, rgb=colour.rgb, second_rgb=Colour.WHITE.rgb, period=12.0)
    outfit, pose = wear(sample.outfit, garment), sample.motion.pose(0.1)
    mask = masks(sample.person, outfit, pose).garment(garment.type)
    return draw_frame(sample.person, sample.scene, outfit, pose).astype(float), mask


def test_every_two_patterns_look_different_on_the_body(sample: Sample) -> None:
    shown = {pattern: _shown(sample, pattern, Colour.NAVY) for pattern in Pattern}
    for a, b in combinations(Pattern, 2):
        mask = shown[a][1] & shown[b][1]
        apart = np.abs(shown[a][0] - shown[b][0])[mask].mean()
        assert apart > 8, (a, b)


def test_a_patterned_garment_shows_both_colours_and_a_plain_one_one(sample: Sample) -> None:
    for pattern in Pattern:
        frame, mask = _shown(sample, pattern, Colour.NAVY)
        light = (frame[mask].mean(-1) > 150).mean()
        assert (light < 0.02) if pattern is Pattern.PLAIN else (0.03 < light < 0.7), (pattern, light)


def test_stripes_run_across_the_body(sample: Sample) -> None:
    frame, mask = _shown(sample, Pattern.STRIPES, Colour.NAVY)
    grey = frame.mean(-1)
    inside = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]
    down, along = np.abs(np.diff(grey, axis=0))[:, :-1], np.abs(np.diff(grey, axis=1))[:-1]
    assert down[inside].mean() > 1.4 * along[inside].mean()
