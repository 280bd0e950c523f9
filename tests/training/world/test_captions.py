"""Captions tell what they should, and no dynamic caption tells the garment."""

import re
from dataclasses import replace

import pytest

from training.world import (
    Action,
    Colour,
    GarmentType,
    Motion,
    Pattern,
    Split,
    draw_sample,
    dynamic_caption,
    sixteenth,
)  # fmt: skip
from training.world.garment import Collar, Form, Sleeve
from training.world.identity import Presentation
from training.world.motion import Amplitude, Side, Tempo

_GARMENT_WORDS = {
    *(c.title for c in Colour), *Pattern, *Collar, *Form, *Sleeve, *GarmentType,
    "top", "dress", "skirt", "shorts", "trousers", "sleeves", "collar", "wearing", "shirt", "shoes",
}  # fmt: skip


def _all_captions() -> list[str]:
    person = draw_sample(0, Split.TRAIN, frames=1).person
    motions = [
        Motion(action=a, side=s, tempo=t, amplitude=m, cycles_per_second=1.0, phase0=0.0)
        for a in Action
        for s in Side
        for t in Tempo
        for m in Amplitude
    ]
    people = [replace(person, presentation=p) for p in Presentation]
    return [dynamic_caption(p, m, phase) for p in people for m in motions for phase in (None, 0.0, 0.7)]


def test_no_dynamic_caption_names_a_garment_or_a_colour() -> None:
    for caption in _all_captions():
        assert not set(re.findall(r"[a-z-]+", caption.lower())) & _GARMENT_WORDS


def test_dynamic_captions_are_ascii_of_at_most_100_bytes() -> None:
    for caption in _all_captions():
        assert caption.isascii()
        assert len(caption) <= 100


def test_every_motion_has_a_caption_of_its_own() -> None:
    captions = _all_captions()
    assert len(set(captions)) == len(captions)


def test_the_phase_is_told_in_sixteenths_or_not_at_all() -> None:
    sample = draw_sample(4, Split.EVALUATION, frames=1)
    assert dynamic_caption(sample.person, sample.motion, 5 / 16).endswith("; phase 5 of 16.")
    assert "phase" not in dynamic_caption(sample.person, sample.motion, None)


@pytest.mark.parametrize(("phase", "told"), [(0.0, 0), (0.03, 0), (0.04, 1), (0.5, 8), (0.96, 15), (0.99, 0)])
def test_a_phase_goes_to_the_nearest_sixteenth(phase: float, told: int) -> None:
    assert sixteenth(phase) == told


def test_the_static_caption_names_the_garment_and_the_full_one_holds_both() -> None:
    for seed in range(6):
        sample = draw_sample(seed, Split.TRAIN, frames=1)
        assert sample.garment.colour.title in sample.static_caption
        assert sample.static_caption.isascii()
        assert sample.full_caption == f"{sample.static_caption} {sample.dynamic_caption}"
