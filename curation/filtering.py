"""The first stage: videos into subclips, and of those the ones that show a single moving person well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from curation.clip import Clip, Span, View
from curation.config import Config, Limits
from curation.fingerprint import Seen, fingerprint
from curation.flow import speed
from curation.frames import Undecodable, cut
from curation.ledger import Entry, Ledger, Outcome, Reason, Stage
from curation.roles import Cast, PersonCounter, Scorer
from curation.scenes import find_scenes, subclips
from curation.store import SUBCLIPS, Store, video_id

FOUND = "scenes"
PERSON, FLOW, AESTHETICS, QUALITY, DUPLICATE = "person", "flow", "aesthetics", "quality", "duplicate"
_FINGERPRINT = "fingerprint"
NOT_JUDGED = "not judged"


def split(store: Store, config: Config, video: str) -> None:
    """Find a video's scenes and cut its subclips. Resumes after the scenes, and after each subclip."""
    ledger, source = store.video_ledger(video), store.videos / video
    if ledger.discarded or ledger.of(Stage.SCENES, SUBCLIPS):
        return
    try:
        if not ledger.of(Stage.SCENES, FOUND):
            ledger.add(_scenes_entry(find_scenes(source, config.scenes), config))
        (entry,) = ledger.of(Stage.SCENES, FOUND)
        scenes = [Span(**span) for span in entry.data["scenes"]]
        limits = config.scenes
        spans = [
            span
            for scene in scenes
            for span in subclips(scene, shortest_s=limits.shortest_s, longest_s=limits.longest_s)
        ]
        clips = [_cut(store, ledger, video, span) for span in spans]
    except Undecodable as error:
        ledger.add(_undecodable(str(error)))
        return
    data = {"clips": [asdict(clip) for clip in clips]}
    ledger.add(Entry(stage=Stage.SCENES, check=SUBCLIPS, outcome=Outcome.KEPT, data=data))


def _scenes_entry(scenes: list[Span], config: Config) -> Entry:
    return Entry(
        stage=Stage.SCENES,
        check=FOUND,
        outcome=Outcome.KEPT,
        limits={"cut": Limits(most=config.scenes.threshold), "length_s": Limits(least=config.scenes.shortest_s)},
        model="scenedetect.ContentDetector",
        data={
            "scenes": [asdict(scene) for scene in scenes],
            "too_short": sum(scene.length_s < config.scenes.shortest_s for scene in scenes),
        },
    )


def _undecodable(note: str) -> Entry:
    return Entry(stage=Stage.SCENES, check="decoding", outcome=Outcome.DISCARDED, reason=Reason.UNDECODABLE, note=note)


def _cut(store: Store, ledger: Ledger, video: str, span: Span) -> Clip:
    id_ = f"{video_id(video)}-{round(span.start_s * 1000):08d}"
    if done := [entry for entry in ledger.of(Stage.SCENES, "cut") if entry.data["id"] == id_]:
        return Clip(**{**done[0].data, "span": span})
    target = store.clip_file(id_)
    target.parent.mkdir(parents=True, exist_ok=True)
    frames, rate, width, height = cut(store.videos / video, span.start_s, span.end_s, target)
    clip = Clip(id=id_, video=video, span=span, frames=frames, rate=rate, width=width, height=height)
    ledger.add(Entry(stage=Stage.SCENES, check="cut", outcome=Outcome.KEPT, data=asdict(clip)))
    return clip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """`judge` gives the score of a view; None: nobody is there to judge."""

    name: str
    reason: Reason
    limits: Limits
    model: str | None
    judge: Callable[[View], float] | None


def judge(store: Store, config: Config, cast: Cast, clip: Clip) -> None:
    """Every check that the clip has not seen yet, until one fails; then its fingerprint."""
    ledger, view = store.ledger(clip.id), store.view(clip)
    for check in _checks(config, cast):
        if ledger.discarded:
            return
        if not ledger.of(Stage.FILTER, check.name):
            ledger.add(_decide(check, view))
    if not ledger.discarded and not ledger.of(Stage.FILTER, _FINGERPRINT):
        data = {"print": fingerprint(view)}
        ledger.add(Entry(stage=Stage.FILTER, check=_FINGERPRINT, outcome=Outcome.KEPT, data=data))


def _decide(check: _Check, view: View) -> Entry:
    if check.judge is None:
        return Entry(stage=Stage.FILTER, check=check.name, outcome=Outcome.KEPT, note=NOT_JUDGED)
    score = check.judge(view)
    holds = check.limits.hold(score)
    return Entry(
        stage=Stage.FILTER,
        check=check.name,
        outcome=Outcome.KEPT if holds else Outcome.DISCARDED,
        reason=None if holds else check.reason,
        scores={check.name: score},
        limits={check.name: check.limits},
        model=check.model,
    )


def _checks(config: Config, cast: Cast) -> Iterator[_Check]:
    """In the order of the paper, which is also from cheap to dear."""
    rules, count = config.filter, config.filter.frames
    person, flow = cast.person, cast.flow
    yield _Check(
        name=PERSON,
        reason=Reason.PERSONS,
        limits=rules.single_person,
        model=person.name if person else None,
        judge=(lambda view: _single(view, person, count)) if person else None,
    )
    yield _Check(
        name=FLOW,
        reason=Reason.FLOW,
        limits=rules.flow,
        model=flow.name if flow else None,
        judge=(lambda view: speed(view, flow)) if flow else None,
    )
    yield _scored(AESTHETICS, Reason.AESTHETICS, rules.aesthetics, cast.aesthetics, count)
    yield _scored(QUALITY, Reason.QUALITY, rules.quality, cast.quality, count)


def _scored(name: str, reason: Reason, limits: Limits, scorer: Scorer | None, count: int) -> _Check:
    return _Check(
        name=name,
        reason=reason,
        limits=limits,
        model=scorer.name if scorer else None,
        judge=(lambda view: scorer.score(view, view.spread(count))) if scorer else None,
    )


def _single(view: View, counter: PersonCounter, count: int) -> float:
    """The share of frames with exactly one person."""
    persons = counter.persons(view, view.spread(count))
    return sum(number == 1 for number in persons) / len(persons)


def leave_duplicates(store: Store, config: Config, clips: list[Clip]) -> None:
    """Of clips that show the same, keep the first that has passed all else; clips kept by an earlier run stay.

    One after the other: what is a duplicate depends on what was kept.
    """
    seen, waiting = Seen(), []
    for clip in clips:
        ledger = store.ledger(clip.id)
        entry = ledger.last(Stage.FILTER, _FINGERPRINT)
        if entry is None:
            continue
        if ledger.passed(Stage.FILTER):
            seen.add(clip.id, clip.video, entry.data["print"])
        elif not ledger.discarded:
            waiting.append((clip, ledger, str(entry.data["print"])))
    for clip, ledger, print_ in waiting:
        if config.filter.duplicate_bits is not None and not ledger.of(Stage.FILTER, DUPLICATE):
            nearest = seen.nearest(clip.video, print_)
            if nearest:
                ledger.add(_duplicate_entry(*nearest, config.filter.duplicate_bits))
        if ledger.discarded is None:
            ledger.close(Stage.FILTER)
            seen.add(clip.id, clip.video, print_)


def _duplicate_entry(other: str, bits: float, limit: float) -> Entry:
    same = bits < limit
    return Entry(
        stage=Stage.FILTER,
        check=DUPLICATE,
        outcome=Outcome.DISCARDED if same else Outcome.KEPT,
        reason=Reason.DUPLICATE if same else None,
        scores={"bits": bits},
        limits={"bits": Limits(least=limit)},
        note=f"nearest: {other}",
        model="imagehash.phash",
    )
