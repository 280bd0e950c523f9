"""Measures that need no model: flow, fingerprints, looks of garments, form of captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from curation.captioning import checked
from curation.clip import Clip, Span, View
from curation.config import Limits
from curation.fingerprint import FRAMES, Seen
from curation.flow import DenseInverseSearch, speed
from curation.frames import Frames
from curation.retrieval import Wardrobe, distance, look
from curation.roles import Garment, GarmentType
from curation.store import write_picture

CAPTIONS = {
    "cn_long": ["她慢慢挥手。", "一间房间里的女子。"],
    "cn_short": ["她挥手。", "一名女子。"],
    "en_long": ["She slowly waves.", "A woman in a room."],
    "en_short": ["She waves.", "A woman."],
}


def texture(height: int, width: int) -> np.ndarray:
    grey = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(height, width)), 2)
    return ((grey - grey.min()) / np.ptp(grey) * 255).astype(np.uint8)


def sliding(pixels: int, *, frames: int = 4) -> Frames:
    grey = texture(90, 160)
    return np.stack(
        [np.repeat(grey[:, at : at + 120, None], 3, 2) for at in range(0, frames * pixels, pixels or 1)][:frames]
    )


@pytest.mark.parametrize("pixels", [1, 3])
def test_the_flow_of_a_sliding_picture_is_what_it_slides(pixels: int) -> None:
    found = DenseInverseSearch().flow(sliding(pixels))
    assert found == pytest.approx([pixels] * 3, rel=0.15)


def test_the_flow_does_not_depend_on_what_was_measured_before() -> None:
    meter, frames = DenseInverseSearch(), sliding(3)
    before = meter.flow(frames)
    meter.flow(frames[:, :40, :60])
    assert meter.flow(frames) == before


def test_speed_is_the_same_at_every_frame_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pixels a frame at 24 a second, and four at 12."""
    found = []
    for rate, pixels in ((24.0, 1), (12.0, 2)):
        frames = sliding(pixels, frames=8)
        monkeypatch.setattr("curation.clip.sample", lambda file, places, frames=frames, **_: frames[list(places)])
        clip = Clip(id="c", video="v", span=Span(start_s=0, end_s=1), frames=8, rate=rate, width=120, height=90)
        found.append(speed(View(clip=clip, file=Path("none")), DenseInverseSearch()))
    assert found[0] == pytest.approx(found[1], rel=0.15)
    assert found[0] == pytest.approx(24 / 150, rel=0.15)


def test_copies_are_found_across_videos_only() -> None:
    seen, same, other = Seen(), "0" * 16 * FRAMES, "f" * 16 * FRAMES
    assert seen.nearest("a.mp4", same) is None
    seen.add("clip-a", "a.mp4", same)
    seen.add("clip-b", "b.mp4", other)
    assert seen.nearest("c.mp4", same[:-1] + "1") == ("clip-a", 1 / FRAMES)
    assert seen.nearest("a.mp4", same) == ("clip-b", 64.0)
    for number in range(100):
        seen.add(f"more-{number}", f"more-{number}.mp4", f"{number:02x}" * 8 * FRAMES)
    assert seen.nearest("c.mp4", "63" * 8 * FRAMES) == ("more-99", 0.0)


def test_a_limit_holds_at_its_ends_and_never_for_what_is_no_number() -> None:
    limits = Limits(least=1.0, most=2.0)
    assert limits.hold(1.0)
    assert limits.hold(2.0)
    assert not limits.hold(0.99)
    assert not limits.hold(2.01)
    assert not limits.hold(float("nan"))


def garment(folder: Path, name: str, colour: tuple[int, int, int], type_: GarmentType = GarmentType.UPPER) -> Garment:
    picture = np.full((40, 30, 3), 255, np.uint8)
    picture[10:30, 8:22] = colour
    write_picture(folder / f"{name}.png", picture)
    clip = Clip(id=name, video=f"{name}.mp4", span=Span(start_s=0, end_s=4), frames=48, rate=12, width=30, height=40)
    return Garment(view=View(clip=clip, file=folder), type=type_, picture=folder / f"{name}.png")


def test_retrieval_offers_others_of_the_type_that_look_different(tmp_path: Path) -> None:
    wardrobe = Wardrobe(
        [
            garment(tmp_path, "red", (200, 0, 0)),
            garment(tmp_path, "same-red", (198, 2, 0)),
            garment(tmp_path, "green", (0, 200, 0)),
            garment(tmp_path, "blue", (0, 0, 200)),
            garment(tmp_path, "blue-trousers", (0, 0, 200), GarmentType.LOWER),
        ]
    )
    found = [other.view.clip.id for other in wardrobe.others("red", differ=0.1, most=9)]
    assert sorted(found) == ["blue", "green"]
    assert [other.view.clip.id for other in wardrobe.others("red", differ=0.1, most=1)] == found[:1]
    assert found == [other.view.clip.id for other in wardrobe.others("red", differ=0.1, most=9)]


def test_uses_spread_over_the_wardrobe(tmp_path: Path) -> None:
    colours = [(red, green, blue) for red in (0, 120, 240) for green in (0, 120, 240) for blue in (0, 120)]
    wardrobe = Wardrobe([garment(tmp_path, f"g{place}", colour) for place, colour in enumerate(colours)])
    firsts = [wardrobe.others(f"g{place}", differ=0.1, most=3)[0].view.clip.id for place in range(len(colours))]
    assert max(firsts.count(name) for name in firsts) <= 5


def test_the_look_ignores_where_a_garment_lies_and_how_large() -> None:
    small, large = np.full((60, 60, 3), 255, np.uint8), np.full((60, 60, 3), 255, np.uint8)
    small[5:15, 5:15] = large[10:50, 20:58] = (20, 90, 160)
    assert distance(look(small), look(large)) == pytest.approx(0, abs=1e-6)
    assert look(np.full((5, 5, 3), 255, np.uint8)).shape == (64, 3)


def test_captions_of_the_asked_form_pass() -> None:
    assert checked(CAPTIONS)["en_short"] == ("She waves.", "A woman.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cn_long": None}, "cn_long is None and not"),
        ({"en_short": ["She waves.", " "]}, "en_short"),
        ({"en_short": ["She waves."]}, "en_short"),
        ({"cn_short": ["She waves.", "A woman."]}, "cn_short is in the wrong language"),
        ({"en_long": ["她挥手。", "A woman in a room, long."]}, "en_long is in the wrong language"),
        ({"en_short": ["She waves." * 9, "A woman."]}, "en_short is longer than en_long"),
    ],
)
def test_captions_of_another_form_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(CAPTIONS | change)
