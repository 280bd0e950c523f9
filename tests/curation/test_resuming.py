"""A run that is stopped anywhere goes on there: nothing is done twice, and the end is the same."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from curation import filtering
from curation.config import Config
from curation.drawn.film import Film, Shot, shoot
from curation.ledger import Entry, Ledger, Reason, Stage
from curation.models.cast import ConfiguredCast
from curation.pipeline import ROLES, Pipeline
from curation.roles import Garment, GarmentType, ModelTrouble
from curation.store import Store
from curation.work import GivenUp
from tests.curation.conftest import Curated

FILMS = ("cuts", "stubborn", "copied", "a-good-copy", "mute", "new-room")
METHODS = ("persons", "score", "caption", "take_off", "put_on", "picture", "classify", "compatible", "reference")


class Cut(Exception):
    """The process dies here."""


class Watched:
    """A role whose calls are counted, and fail once `budget` calls have been made."""

    def __init__(self, role: Any, calls: list[tuple[Any, ...]], allowed: Callable[[], None]) -> None:
        self._role, self._calls, self._allowed = role, calls, allowed
        self.name = role.name

    def __getattr__(self, method: str) -> Any:
        assert method in METHODS

        def call(view: Any, *arguments: Any, **options: Any) -> Any:
            self._allowed()
            looked_at = [a.view.clip.id if isinstance(a, Garment) else zlib.crc32(a.tobytes()) for a in arguments]
            answer = getattr(self._role, method)(view, *arguments, **options)
            self._calls.append((id(self._role), method, view.clip.id, *looked_at, *options.values()))
            return answer

        return call


class WatchedCast:
    """The drawn roles, of which every call is noted in `calls`."""

    def __init__(self, cast: ConfiguredCast, fault: Callable[[], None] = lambda: None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.flow = cast.flow
        for name in ("person", "aesthetics", "quality", "captioner", "inspector", "dresser"):
            setattr(self, name, Watched(getattr(cast, name), self.calls, fault))


@pytest.fixture
def videos(films: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in FILMS:
        for suffix in (".mp4", ".truth.json"):
            (folder / f"{name}{suffix}").symlink_to(films / f"{name}{suffix}")
    return folder


def prepared(curated: Curated, videos: Path, out: Path) -> Store:
    """A folder whose subclips are cut, as cutting is slow."""
    store = Store(videos, out)
    store.begin(curated.config)
    for video in store.sources():
        ledger = curated.store.video_ledger(video)
        target = store.video_ledger(video).path
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ledger.path, target)
    (out / "clips").symlink_to(curated.out / "clips")
    return store


def curate(store: Store, config: Config, cast: WatchedCast, *, give_up_after: int = 3) -> Pipeline:
    one = config.model_copy(update={"workers": 1, "give_up_after": give_up_after})
    pipeline = Pipeline(store=store, config=one, cast=cast, console=Console(quiet=True))  # type: ignore[arg-type]
    for stage in ROLES:
        pipeline.run(stage)
    return pipeline


def decisions(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All ledgers, without the time of day."""
    return {
        clip.id: [asdict(entry) | {"at": None} for entry in store.ledger(clip.id).entries] for clip in store.clips()
    }


def test_a_run_cut_before_every_single_call_makes_the_same_calls_once(
    curated: Curated, videos: Path, tmp_path: Path
) -> None:
    drawn = ConfiguredCast(curated.config, videos)
    whole = WatchedCast(drawn)
    curate(prepared(curated, videos, tmp_path / "whole"), curated.config, whole)

    store, made, runs = prepared(curated, videos, tmp_path / "cut"), [], 0
    while True:
        left = [1]

        def allowed(left: list[int] = left) -> None:
            if not left[0]:
                raise Cut
            left[0] -= 1

        cast = WatchedCast(drawn, allowed)
        runs += 1
        try:
            curate(store, curated.config, cast)
        except Cut:
            made += cast.calls
            continue
        made += cast.calls
        break
    assert runs == len(whole.calls)
    assert sorted(made) == sorted(whole.calls)
    assert len(set(made)) == len(made)
    assert decisions(store) == decisions(Store(videos, tmp_path / "whole"))


def test_a_run_cut_after_every_single_decision_decides_the_same_once(
    curated: Curated, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = ConfiguredCast(curated.config, videos)
    whole = prepared(curated, videos, tmp_path / "whole")
    curate(whole, curated.config, WatchedCast(drawn))

    store, add = prepared(curated, videos, tmp_path / "cut"), Ledger.add
    left = [0]

    def once(ledger: Ledger, entry: Entry) -> None:
        if left[0]:
            left[0] -= 1
            add(ledger, entry)
        if not left[0]:
            raise Cut

    monkeypatch.setattr(Ledger, "add", once)
    for _ in range(sum(map(len, decisions(whole).values()))):
        left[0] = 1
        with pytest.raises(Cut):
            curate(store, curated.config, WatchedCast(drawn))
    left[0] = 1
    curate(store, curated.config, WatchedCast(drawn))
    assert left == [1]
    assert decisions(store) == decisions(whole)


def test_a_finished_run_asks_nobody(curated: Curated) -> None:
    cast = WatchedCast(ConfiguredCast(curated.config, curated.videos))
    curate(curated.store, curated.config, cast)
    assert cast.calls == []


def test_a_model_that_fails_for_one_clip_leaves_it_for_the_next_run(
    curated: Curated, videos: Path, tmp_path: Path
) -> None:
    failing = iter([None, ModelTrouble("too slow")])

    def fault() -> None:
        if trouble := next(failing, None):
            raise trouble

    store, drawn = prepared(curated, videos, tmp_path / "out"), ConfiguredCast(curated.config, videos)
    first = curate(store, curated.config, WatchedCast(drawn, fault))
    assert first.troubles == ["filter: too slow"]
    waiting = [clip.id for clip in store.clips() if store.ledger(clip.id).open(Stage.FILTER)]
    assert len(waiting) == 1
    assert store.ledger(waiting[0]).discarded is None
    second = curate(store, curated.config, WatchedCast(drawn))
    assert second.troubles == []
    assert not any(store.ledger(clip).open(Stage.FILTER) for clip in waiting)


def test_a_clip_finds_nothing_to_wear_only_once_all_garments_are_known(
    curated: Curated, videos: Path, tmp_path: Path
) -> None:
    """Else a model that failed for some clips would have decided about the others."""
    drawn = ConfiguredCast(curated.config, videos)
    whole = prepared(curated, videos, tmp_path / "whole")
    curate(whole, curated.config, WatchedCast(drawn))

    store, cast, answers = prepared(curated, videos, tmp_path / "out"), WatchedCast(drawn), iter([None])

    def fault() -> None:
        if next(answers, "no more"):
            raise ModelTrouble("out of memory")

    cast.dresser = Watched(drawn.dresser, cast.calls, fault)
    curate(store, curated.config, cast, give_up_after=99)
    ends = [store.ledger(clip.id).discarded for clip in store.clips()]
    assert Reason.NO_OTHER_GARMENT not in {end.reason for end in ends if end}
    curate(store, curated.config, WatchedCast(drawn))
    assert {clip: entries[-1] for clip, entries in decisions(store).items()} == {
        clip: entries[-1] for clip, entries in decisions(whole).items()
    }


def test_models_that_fail_for_all_end_the_run_soon(curated: Curated, videos: Path, tmp_path: Path) -> None:
    def fault() -> None:
        raise ModelTrouble("nobody answers")

    store = prepared(curated, videos, tmp_path / "out")
    cast = WatchedCast(ConfiguredCast(curated.config, videos), fault)
    with pytest.raises(GivenUp, match="3 failures in a row, the last one: nobody answers"):
        curate(store, curated.config, cast)


def test_a_video_cut_half_goes_on_with_the_next_subclip(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = tuple(
        Shot(seed=seed, type=GarmentType.UPPER, wall=wall, seconds=3.0) for seed, wall in ((1, "CREAM"), (2, "SLATE"))
    )
    shoot(Film(name="two", shots=shots), tmp_path / "films", (96, 64))
    store, made = Store(tmp_path / "films", tmp_path / "out"), []
    find, cut = filtering.find_scenes, filtering.cut

    def once(*arguments: Any) -> Any:
        if len(made) == 1 and "cut" not in made:
            made.append("cut")
            raise Cut
        made.append(arguments[-1].name)
        return cut(*arguments)

    found: list[Path] = []
    monkeypatch.setattr(filtering, "find_scenes", lambda file, rules: found.append(file) or find(file, rules))
    monkeypatch.setattr(filtering, "cut", once)
    with pytest.raises(Cut):
        filtering.split(store, config, "two.mp4")
    filtering.split(store, config, "two.mp4")
    filtering.split(store, config, "two.mp4")
    assert len(found) == 1
    assert [name for name in made if name != "cut"] == [f"{clip.id}.mp4" for clip in store.clips()]


def test_a_line_that_was_cut_off_in_the_writing_is_dropped(curated: Curated, tmp_path: Path) -> None:
    clip = next(curated.store.clips())
    content = curated.store.ledger(clip.id).path.read_bytes()
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content[:-20])
    ledger = Ledger(path)
    assert len(ledger.entries) == content.count(b"\n") - 1
    ledger.add(ledger.entries[0])
    assert len(Ledger(path).entries) == content.count(b"\n")


def test_another_configuration_is_refused_and_told(curated: Curated) -> None:
    other = curated.config.model_copy(
        update={"scenes": curated.config.scenes.model_copy(update={"threshold": 30.0}), "seed": 3}
    )
    with pytest.raises(ValueError, match=r"it differs in scenes\.threshold, seed"):
        curated.store.begin(other)
    curated.store.begin(curated.config.model_copy(update={"workers": 99}))
