"""The third stage: the garment's picture, taken off the first frame and checked; tried again, then given up."""

from __future__ import annotations

from curation.attempts import judged
from curation.clip import Clip
from curation.config import Config
from curation.ledger import Entry, Outcome, Reason, Stage
from curation.retrieval import Wardrobe
from curation.roles import Dresser, Garment, GarmentType, Inspector
from curation.store import Store, read_picture, write_picture

PICTURE = "picture"
TYPE = "type"
_REASONS = {"semantics": Reason.SEMANTICS, "texture": Reason.TEXTURE, "context": Reason.CONTEXT}


def take_off(store: Store, config: Config, dresser: Dresser, inspector: Inspector, clip: Clip) -> None:
    """Until a picture passes, or the attempts are spent. A picture that lies there is not made again."""
    ledger, view = store.ledger(clip.id), store.view(clip)
    attempts = config.garment.attempts
    for attempt in range(len(ledger.of(Stage.GARMENT, PICTURE)) + 1, attempts + 1):
        last = ledger.last(Stage.GARMENT, PICTURE)
        if last is not None and last.outcome is Outcome.KEPT:
            break
        file = store.garment_file(clip.id, attempt)
        if not file.exists():
            write_picture(file, dresser.take_off(view, attempt=attempt))
        marks = inspector.picture(view, read_picture(file))
        ledger.add(
            judged(
                marks,
                config.garment,
                _REASONS,
                stage=Stage.GARMENT,
                check=PICTURE,
                attempt=attempt,
                model=f"{dresser.name}, {inspector.name}",
            )
        )
    if ledger.discarded is None:
        ledger.close(Stage.GARMENT)


def classify(store: Store, inspector: Inspector, clip: Clip) -> None:
    """Tell the type of a garment whose picture passed: the first part of the fourth stage."""
    ledger = store.ledger(clip.id)
    if ledger.of(Stage.REFERENCE, TYPE):
        return
    picture = _passed_picture(store, clip)
    type_ = inspector.classify(store.view(clip), read_picture(store.garment_file(clip.id, picture)))
    data = {"type": str(type_)}
    ledger.add(Entry(stage=Stage.REFERENCE, check=TYPE, outcome=Outcome.KEPT, model=inspector.name, data=data))


def _passed_picture(store: Store, clip: Clip) -> int:
    entry = store.ledger(clip.id).last(Stage.GARMENT, PICTURE)
    assert entry is not None
    assert entry.attempt is not None
    return entry.attempt


def garment_of(store: Store, clip: Clip) -> Garment | None:
    """The clip's own garment; None until its picture has passed and its type is known."""
    ledger = store.ledger(clip.id)
    type_ = ledger.last(Stage.REFERENCE, TYPE)
    if not ledger.passed(Stage.GARMENT) or type_ is None:
        return None
    return Garment(
        view=store.view(clip),
        type=GarmentType(type_.data["type"]),
        picture=store.garment_file(clip.id, _passed_picture(store, clip)),
    )


def wardrobe(store: Store, clips: list[Clip]) -> Wardrobe:
    """Garments of clips that were discarded later are worn all the same: their pictures have passed."""
    return Wardrobe([garment for clip in clips if (garment := garment_of(store, clip))])
