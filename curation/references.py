"""The fourth stage: the first frame, with another garment of the same type in place of the clip's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.attempts import judged
from curation.clip import Clip, View
from curation.config import Config, Limits, ReferenceRules
from curation.ledger import Entry, Ledger, Outcome, Reason, Stage
from curation.retrieval import Wardrobe
from curation.roles import Dresser, Garment, Inspector
from curation.store import Store, read_picture, write_picture

COMPATIBLE = "compatible"
REFERENCE = "reference"
_REASONS = {"garment": Reason.REFERENCE_GARMENT, "rest": Reason.REFERENCE_REST}


def dress(
    store: Store,
    config: Config,
    dresser: Dresser,
    inspector: Inspector,
    wardrobe: Wardrobe,
    clip: Clip,
    *,
    complete: bool,
) -> None:
    """Try compatible garments on until a reference passes; each attempt takes the next one.

    Args:
        complete: no garment will be added to the wardrobe; else a clip that finds none waits for them.
    """
    ledger, view, rules = store.ledger(clip.id), store.view(clip), config.reference
    candidates = wardrobe.others(clip.id, differ=rules.differ, most=rules.candidates)
    chooser = _Chooser(
        ledger=ledger, wardrobe=wardrobe, candidates=candidates, inspector=inspector, rules=rules, view=view
    )
    for attempt in range(len(ledger.of(Stage.REFERENCE, REFERENCE)) + 1, rules.attempts + 1):
        last = ledger.last(Stage.REFERENCE, REFERENCE)
        if last is not None and last.outcome is Outcome.KEPT:
            break
        garment = chooser.choose(attempt)
        if garment is None:
            if complete:
                ledger.add(_nothing_to_wear(len(chooser.candidates)))
            return
        file = store.reference_file(clip.id, attempt)
        if not file.exists():
            write_picture(file, dresser.put_on(view, garment, attempt=attempt))
        marks = inspector.reference(view, garment, read_picture(file))
        ledger.add(
            judged(
                marks,
                rules,
                _REASONS,
                stage=Stage.REFERENCE,
                check=REFERENCE,
                attempt=attempt,
                model=f"{dresser.name}, {inspector.name}",
                data={"garment": garment.view.clip.id},
            )
        )
    if ledger.discarded is None:
        ledger.close(Stage.REFERENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chooser:
    """Asks about each garment once, over all runs, and only when it is needed."""

    ledger: Ledger
    wardrobe: Wardrobe
    candidates: Sequence[Garment]
    inspector: Inspector
    rules: ReferenceRules
    view: View

    def choose(self, attempt: int) -> Garment | None:
        """The garment of an attempt, counted from 1; None: nothing is compatible."""
        asked = {str(entry.data["garment"]): entry for entry in self.ledger.of(Stage.REFERENCE, COMPATIBLE)}
        found = [self.wardrobe[other] for other, entry in asked.items() if entry.outcome is Outcome.KEPT]
        for other in self.candidates:
            if len(found) >= attempt:
                break
            if other.view.clip.id not in asked and self._ask(other):
                found.append(other)
        return found[(attempt - 1) % len(found)] if found else None

    def _ask(self, other: Garment) -> bool:
        mark = self.inspector.compatible(self.view, other)
        holds = mark >= self.rules.compatible
        self.ledger.add(
            Entry(
                stage=Stage.REFERENCE,
                check=COMPATIBLE,
                outcome=Outcome.KEPT if holds else Outcome.RETRY,
                reason=None if holds else Reason.NO_OTHER_GARMENT,
                scores={COMPATIBLE: float(mark)},
                limits={COMPATIBLE: Limits(least=self.rules.compatible)},
                model=self.inspector.name,
                data={"garment": other.view.clip.id},
            )
        )
        return holds


def _nothing_to_wear(candidates: int) -> Entry:
    return Entry(
        stage=Stage.REFERENCE,
        check=COMPATIBLE,
        outcome=Outcome.DISCARDED,
        reason=Reason.NO_OTHER_GARMENT,
        note=f"{candidates} other garments of the type were asked about",
        data={"garment": None},
    )
