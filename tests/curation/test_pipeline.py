"""The whole pipeline on real MP4 files of the drawn world, in which what is wrong is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.captioning import CAPTION
from curation.drawn.film import moment
from curation.drawn.films import BROKEN, FILMS
from curation.ledger import Outcome, Reason, Stage
from curation.references import COMPATIBLE, REFERENCE
from curation.store import read_picture, video_id
from curation.triplets import Triplet, triplets
from tests.curation.conftest import Curated
from training.world import product_picture, wear

KEPT = {"cuts", "long", "stubborn", "a-good-copy"}
DISCARDED = {
    "only-skirts-left": Reason.NO_OTHER_GARMENT,
    "copied": Reason.DUPLICATE,
    "still": Reason.FLOW,
    "pair": Reason.PERSONS,
    "ugly": Reason.AESTHETICS,
    "noisy": Reason.QUALITY,
    "mute": Reason.CAPTION,
    "wrong-garment": Reason.SEMANTICS,
    "wrong-texture": Reason.TEXTURE,
    "hand-in-picture": Reason.CONTEXT,
    "only-dress": Reason.NO_OTHER_GARMENT,
    "not-worn": Reason.REFERENCE_GARMENT,
    "new-room": Reason.REFERENCE_REST,
}


@pytest.fixture(scope="module")
def found(curated: Curated) -> dict[str, Triplet]:
    return {triplet.clip.id: triplet for triplet in triplets(curated.store)}


def clips_of(curated: Curated, film: str) -> list[str]:
    return [clip.id for clip in curated.store.clips() if Path(clip.video).stem == film]


def test_every_film_has_an_expected_end() -> None:
    assert KEPT | DISCARDED.keys() == {film.name for film in FILMS}


@pytest.mark.parametrize(("film", "reason"), DISCARDED.items())
def test_what_is_bad_is_discarded_for_its_reason(curated: Curated, film: str, reason: Reason) -> None:
    (clip,) = clips_of(curated, film)
    entry = curated.store.ledger(clip).discarded
    assert entry is not None
    assert entry.reason is reason


def test_what_is_good_is_kept(curated: Curated, found: dict[str, Triplet]) -> None:
    assert {Path(triplet.clip.video).stem for triplet in found.values()} == KEPT
    assert set(found) == {clip for film in KEPT for clip in clips_of(curated, film)}


def test_a_video_is_cut_at_its_cuts_and_short_scenes_are_left_out(curated: Curated) -> None:
    spans = [clip.span for clip in curated.store.clips() if clip.video == "cuts.mp4"]
    assert [(span.start_s, span.end_s) for span in spans] == [(0, 4), (5.5, 9.5)]


def test_a_long_scene_becomes_two_clips(curated: Curated) -> None:
    clips = [clip for clip in curated.store.clips() if clip.video == "long.mp4"]
    assert [clip.frames for clip in clips] == [54, 54]


def test_a_file_that_is_no_video_is_discarded_and_stops_nothing(curated: Curated) -> None:
    entry = curated.store.video_ledger(BROKEN).discarded
    assert entry is not None
    assert entry.reason is Reason.UNDECODABLE


def test_faults_that_are_mended_are_tried_again_and_kept(curated: Curated) -> None:
    (clip,) = clips_of(curated, "stubborn")
    entries = curated.store.ledger(clip).entries
    attempts = [(e.check, e.outcome, e.reason) for e in entries if e.attempt is not None]
    assert attempts == [
        ("caption", Outcome.RETRY, Reason.CAPTION),
        ("caption", Outcome.RETRY, Reason.CAPTION),
        ("caption", Outcome.KEPT, None),
        ("picture", Outcome.RETRY, Reason.TEXTURE),
        ("picture", Outcome.RETRY, Reason.CONTEXT),
        ("picture", Outcome.KEPT, None),
        ("reference", Outcome.RETRY, Reason.REFERENCE_REST),
        ("reference", Outcome.KEPT, None),
    ]


def test_each_attempt_at_a_reference_takes_another_garment(curated: Curated) -> None:
    (clip,) = clips_of(curated, "new-room")
    worn = [entry.data["garment"] for entry in curated.store.ledger(clip).of(Stage.REFERENCE, REFERENCE)]
    assert len(set(worn)) == len(worn) == 3


def test_every_score_stands_beside_its_limit_and_who_gave_it(curated: Curated) -> None:
    for clip in curated.store.clips():
        for entry in curated.store.ledger(clip.id).entries:
            assert entry.scores.keys() == entry.limits.keys()
            assert not entry.scores or entry.model
            held = all(entry.limits[name].hold(score) for name, score in entry.scores.items())
            assert entry.check == CAPTION or held == (entry.outcome is Outcome.KEPT) or not entry.scores


def test_the_garment_is_the_one_in_the_clip(curated: Curated, found: dict[str, Triplet]) -> None:
    for triplet in found.values():
        garment = moment(curated.videos, curated.store.view(triplet.clip)).shot.actor.garment
        size = (triplet.clip.height, triplet.clip.width)
        assert np.array_equal(read_picture(triplet.garment), product_picture(garment, size))
        assert triplet.type == garment.type


def test_the_reference_is_the_first_frame_in_another_garment_of_the_type(
    curated: Curated, found: dict[str, Triplet]
) -> None:
    clips = {clip.id: clip for clip in curated.store.clips()}
    for triplet in found.values():
        here = moment(curated.videos, curated.store.view(triplet.clip))
        other = moment(curated.videos, curated.store.view(clips[triplet.worn])).shot.actor.garment
        actor, size = here.shot.actor, (triplet.clip.height, triplet.clip.width)
        assert other.type is actor.garment.type
        assert other.key != actor.garment.key
        expected = actor.frame(here.pose, size, outfit=wear(actor.outfit, other))
        assert np.array_equal(read_picture(triplet.reference), expected)


def test_the_clip_begins_with_the_frame_that_the_reference_was_made_of(
    curated: Curated, found: dict[str, Triplet]
) -> None:
    for triplet in found.values():
        view = curated.store.view(triplet.clip)
        here = moment(curated.videos, view)
        drawn = here.shot.actor.frame(here.pose, (triplet.clip.height, triplet.clip.width))
        assert np.abs(view.first.astype(int) - drawn).mean() < 4


def test_nobody_is_asked_about_more_garments_than_needed(curated: Curated, found: dict[str, Triplet]) -> None:
    for clip in found:
        ledger = curated.store.ledger(clip)
        kept = [entry for entry in ledger.of(Stage.REFERENCE, COMPATIBLE) if entry.outcome is Outcome.KEPT]
        assert len(kept) == len(ledger.of(Stage.REFERENCE, REFERENCE))


def test_captions_are_there_in_every_language_and_length(found: dict[str, Triplet]) -> None:
    for triplet in found.values():
        assert set(triplet.captions) == {"cn_long", "cn_short", "en_long", "en_short"}
        assert all(dynamic and static for dynamic, static in triplet.captions.values())


def test_ids_of_videos_differ_where_their_paths_do() -> None:
    assert video_id("a/clip.mp4") != video_id("b/clip.mp4")
