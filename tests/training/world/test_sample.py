"""A sample is a function of its seed, and its parts fit each other."""

from dataclasses import replace

import numpy as np
import pytest

from training.world import (
    GarmentType,
    Part,
    Pattern,
    Sample,
    Split,
    draw_clip,
    draw_frame,
    draw_sample,
    masks,
    product_picture,
    wear,
)
from training.world.colour import distance


@pytest.fixture(scope="module", params=list(GarmentType))
def sample(request: pytest.FixtureRequest) -> Sample:
    return draw_sample(11, Split.EVALUATION, frames=4, kind=request.param, truth=True)


def test_the_same_seed_gives_the_same_bytes(sample: Sample) -> None:
    again = draw_sample(11, Split.EVALUATION, frames=4, kind=sample.garment.type)
    for name in ("reference", "product", "clip"):
        assert np.array_equal(getattr(again, name), getattr(sample, name))
    assert (again.person, again.motion, again.outfit) == (sample.person, sample.motion, sample.outfit)


def test_another_seed_or_split_gives_another_sample() -> None:
    drawn = {draw_sample(seed, split, frames=1).clip.tobytes() for seed in range(3) for split in Split}
    assert len(drawn) == 6


def test_shapes_and_types_are_as_documented(sample: Sample) -> None:
    assert sample.clip.shape == (4, 192, 128, 3)
    assert sample.clip.dtype == np.uint8
    assert sample.reference.shape == sample.product.shape == (192, 128, 3)
    assert sample.truth is not None
    assert sample.truth.joints.shape == (4, 15, 2)
    assert sample.truth.garment.shape == sample.truth.person.shape == sample.truth.head.shape == (4, 192, 128)
    assert sample.truth.phase.shape == (4,)


def test_reference_and_first_frame_differ_only_where_a_garment_is_or_was(sample: Sample) -> None:
    """By at most the antialiased rim around the two garments' silhouettes."""
    pose = sample.motion.pose(sample.motion.phase(0))
    type_ = sample.garment.type
    cloth = np.zeros((192, 128), bool)
    for outfit in (sample.outfit, wear(sample.outfit, sample.worn)):
        cloth |= masks(sample.person, outfit, pose).garment(type_)
    differs = np.abs(sample.reference.astype(int) - sample.clip[0]).sum(-1) > 48
    assert differs.sum() > 300
    uncovered = differs & ~_grown(cloth, 2)
    skin = masks(sample.person, sample.outfit, pose).labels == Part.BODY  # what another cut bares or covers
    bared = masks(sample.person, wear(sample.outfit, sample.worn), pose).labels == Part.BODY
    assert not (uncovered & ~_grown(skin | bared, 2)).any()


def test_the_three_garments_are_of_one_type_and_far_apart_in_colour(sample: Sample) -> None:
    garments = (sample.garment, sample.worn, sample.other)
    assert len({g.type for g in garments}) == 1
    for i, a in enumerate(garments):
        for b in garments[i + 1 :]:
            assert distance(a.rgb, b.rgb) >= 150


def test_a_clip_goes_on_from_any_frame(sample: Sample) -> None:
    rest = draw_clip(sample.person, sample.scene, sample.outfit, sample.motion, first_frame=2, frames=2)
    assert np.array_equal(rest, sample.clip[2:])


def test_the_garment_mask_is_where_the_picture_changes_with_the_garment(sample: Sample) -> None:
    """Recolouring the garment changes every pixel of its mask, and nothing beyond the mask's rim."""
    rgb = tuple(255 - c for c in sample.garment.rgb)
    plain = replace(sample.garment, pattern=Pattern.PLAIN)
    pose = sample.motion.pose(sample.motion.phase(0))
    a, b = (
        draw_frame(sample.person, sample.scene, wear(sample.outfit, g), pose).astype(int)
        for g in (plain, replace(plain, rgb=rgb))
    )
    changed = np.abs(a - b).sum(-1) > 48
    assert sample.truth is not None
    mask = sample.truth.garment[0]
    assert mask.sum() > 250
    assert changed[mask].mean() > 0.97
    assert not (changed & ~_grown(mask, 2)).any()


def test_head_and_garment_lie_in_the_person(sample: Sample) -> None:
    assert sample.truth is not None
    assert sample.truth.head.sum((1, 2)).min() > 200
    assert not (sample.truth.head & ~sample.truth.person).any()
    assert not (sample.truth.garment & sample.truth.head).any()


def test_joints_lie_on_the_person(sample: Sample) -> None:
    assert sample.truth is not None
    for joints, person in zip(sample.truth.joints, sample.truth.person, strict=True):
        columns, rows = joints.round().astype(int).T
        assert _grown(person, 1)[rows, columns].all()


def test_a_product_lies_on_white(sample: Sample) -> None:
    product = sample.product
    border = np.concatenate([product[:6].reshape(-1, 3), product[-6:].reshape(-1, 3), product[:, :2].reshape(-1, 3)])
    assert (border == 255).all()
    shown = (product.astype(int).sum(-1) < 740).mean()
    assert 0.1 < shown < 0.7


@pytest.mark.parametrize("size", [(96, 64), (768, 512), (120, 120), (64, 100)])
def test_any_size_shows_the_same_picture(sample: Sample, size: tuple[int, int]) -> None:
    pose = sample.motion.pose(0.3)
    assert draw_frame(sample.person, sample.scene, sample.outfit, pose, size).shape == (*size, 3)
    assert product_picture(sample.garment, size).shape == (*size, 3)
    share = masks(sample.person, sample.outfit, pose, size).garment(sample.garment.type).sum() / min(
        size[0] * size[0] * 128 / 192, size[1] * size[1] * 192 / 128
    )
    here = masks(sample.person, sample.outfit, pose).garment(sample.garment.type).mean()
    assert share == pytest.approx(here, rel=0.05)


def test_a_garment_of_a_type_not_worn_is_refused(sample: Sample) -> None:
    other = GarmentType.FULL if sample.garment.type is not GarmentType.FULL else GarmentType.UPPER
    with pytest.raises(ValueError, match="no"):
        wear(sample.outfit, draw_sample(1, Split.TRAIN, frames=1, kind=other).garment)


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """The mask and all within `by` pixels of it."""
    padded = np.pad(mask, by)
    rows, columns = mask.shape
    steps = range(2 * by + 1)
    return np.any([padded[i : i + rows, j : j + columns] for i in steps for j in steps], axis=0)
