"""Single metrics on arrays made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.metrics.colour import delta_e, lab_cells, mask_cells, mean_in
from evaluation.metrics.drawings import Drawings, Truth
from evaluation.metrics.garment import shows_after
from evaluation.metrics.motion import amplitude, forward_share, steps
from evaluation.metrics.pattern import nearest_pattern, period, signature
from evaluation.metrics.pose import direction, distances
from evaluation.metrics.preservation import identity_rank
from evaluation.metrics.silhouette import iou, silhouettes

SIDE, PHASES, RATE = 48, 32, 2.0
BACKGROUND = np.full((SIDE, SIDE, 3), 200, np.uint8)


def disc(angle: float, colour: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A disc on a circle about the middle."""
    y, x = np.indices((SIDE, SIDE))
    mask = (x - 24 - 12 * np.cos(angle)) ** 2 + (y - 24 - 12 * np.sin(angle)) ** 2 < 36
    return np.where(mask[..., None], np.array(colour, np.uint8), BACKGROUND), mask


def drawings(colour: tuple[int, int, int]) -> Drawings:
    pairs = [disc(2 * np.pi * phase / PHASES, colour) for phase in range(PHASES)]
    masks = np.stack([mask for _, mask in pairs])
    return Drawings(frames=np.stack([f for f, _ in pairs]), garment=masks, head=np.zeros_like(masks), person=masks)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth(old=drawings((200, 30, 30)), new=drawings((30, 30, 200)), background=BACKGROUND, phases_per_frame=RATE)


def test_black_and_white_are_a_hundred_apart() -> None:
    black, white = (lab_cells(np.full((1, 4, 4, 3), value, np.uint8)) for value in (0, 255))
    assert delta_e(black, white) == pytest.approx(100, abs=0.1)


def test_a_cell_is_inside_when_nearly_all_its_pixels_are() -> None:
    mask = np.zeros((1, 8, 8), bool)
    mask[:, :4, :5] = True
    assert mask_cells(mask).tolist() == [[[True, False], [False, False]]]


def test_a_mean_over_nothing_is_not_a_number() -> None:
    assert np.isnan(mean_in(np.ones((1, 2, 2), np.float32), np.zeros((1, 2, 2), bool))).all()


def test_frames_that_do_not_split_into_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="does not split"):
        lab_cells(np.zeros((1, 6, 8, 3), np.uint8))


def test_the_phase_is_that_of_the_drawing_in_whichever_garment(truth: Truth) -> None:
    frames = np.concatenate([truth.old.frames[[3]], truth.new.frames[[20]]])
    assert distances(frames, truth).phase.tolist() == [3, 20]


@pytest.mark.parametrize(("turn", "goes_on"), [(1, True), (-1, False)])
def test_a_motion_that_goes_on_is_told_from_one_that_turns_back(truth: Truth, turn: int, goes_on: bool) -> None:
    before = distances(truth.old.frames[truth.track(0, 8)], truth)  # the last at phase 14
    after = distances(truth.new.frames[(14 + turn * 2 * np.arange(8)) % PHASES], truth)
    verdict = direction(before, after, truth)
    assert verdict.decidable
    assert verdict.goes_on == goes_on


def test_a_motion_that_looks_the_same_both_ways_has_no_direction(truth: Truth) -> None:
    still = Drawings(
        **{name: getattr(truth.new, name)[[0] * PHASES] for name in ("frames", "garment", "head", "person")}
    )
    standing = Truth(old=still, new=still, background=BACKGROUND, phases_per_frame=RATE)
    found = distances(still.frames[:8], standing)
    assert not direction(found, found, standing).decidable


def test_moments_count_as_forward_by_the_true_direction(truth: Truth) -> None:
    frames = truth.new.frames[truth.track(5, 20)]
    assert forward_share(distances(frames, truth), truth) == 1
    assert forward_share(distances(frames[::-1], truth), truth) == 0


def test_a_frozen_clip_has_no_amplitude_and_flicker_within_the_silhouette_adds_none(truth: Truth) -> None:
    frozen = np.repeat(truth.new.frames[:1], 10, axis=0)
    flicker = frozen.copy()
    flicker[::2][np.repeat(truth.new.person[:1], 5, axis=0)] = (30, 200, 30)
    moving = amplitude(truth.new.frames, BACKGROUND)
    assert amplitude(frozen, BACKGROUND) == pytest.approx(0, abs=1e-4)
    assert amplitude(flicker, BACKGROUND) < 0.1 * moving


def test_a_step_does_not_count_the_garment() -> None:
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    garment = np.zeros((2, 16, 16), bool)
    garment[:, 6:9, 6:9] = True
    frames[1][garment[1]] = 255
    assert steps(frames, garment).tolist() == [0]
    frames[1, 0, 0] = 255
    assert steps(frames, garment)[0] > 0


def test_the_silhouette_is_what_differs_from_the_background(truth: Truth) -> None:
    noisy = truth.new.frames[:2] + np.random.default_rng(0).integers(-6, 6, (2, SIDE, SIDE, 3))
    found = silhouettes(np.clip(noisy, 0, 255).astype(np.uint8), BACKGROUND)
    assert iou(found, truth.new.person[:2]).min() > 0.7  # a pixel of the edge is blurred away or added
    assert iou(found, truth.new.person[8:10]).max() < 0.2


def test_the_garment_shows_once_three_frames_in_a_row_do() -> None:
    assert shows_after(np.array([0, 1, 1, 0, 1, 1, 1, 0], bool)) == 4
    assert shows_after(np.array([1, 1, 0, 1, 1], bool)) is None


def cloth(kind: str, every: int = 10) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    y, x = np.indices((80, 80))
    on = {
        "plain": np.zeros((80, 80), bool),
        "stripes": y % every < every // 2,
        "checks": (y % every < every // 2) ^ (x % every < every // 2),
    }[kind]
    frame = np.where(on[..., None], np.array([220, 40, 40], np.uint8), np.array([240, 240, 230], np.uint8))
    return frame[None], np.ones((1, 80, 80), bool)


def test_patterns_are_told_apart_wherever_they_begin() -> None:
    drawn = {kind: signature(*cloth(kind)) for kind in ("plain", "stripes", "checks")}
    for kind in drawn:
        frame, mask = cloth(kind)
        assert nearest_pattern(signature(np.roll(frame, (3, 2), axis=(1, 2)), mask), drawn) == kind


def test_a_pattern_washed_out_is_no_pattern() -> None:
    drawn = {kind: signature(*cloth(kind)) for kind in ("plain", "stripes", "checks")}
    frame, mask = cloth("stripes")
    pale = (240 - (240 - frame.astype(float)) * 0.3).astype(np.uint8)
    assert nearest_pattern(signature(pale, mask), drawn) == "plain"


@pytest.mark.parametrize("every", [8, 10, 12])
def test_the_period_is_the_patterns_repeat(every: int) -> None:
    assert period(signature(*cloth("stripes", every))) == pytest.approx(every, rel=0.06)


def test_plain_cloth_has_no_period() -> None:
    assert period(signature(*cloth("plain"))) is None


def test_the_own_head_is_nearest_among_others() -> None:
    mask = np.ones((2, 8, 8), bool)
    own, other = (np.full((2, 8, 8, 3), value, np.uint8) for value in (100, 160))
    seen = own + np.uint8(10)
    assert identity_rank(seen, [(own, mask), (other, mask)]) == 1
    assert identity_rank(seen, [(other, mask), (own, mask)]) == 0


def test_drawings_of_unequal_sizes_are_refused(truth: Truth) -> None:
    with pytest.raises(ValueError, match="one size"):
        Truth(old=truth.old, new=truth.new, background=BACKGROUND[:24], phases_per_frame=RATE)
