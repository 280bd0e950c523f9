"""The stages in order, over all videos and clips; every one goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from curation import captioning, filtering, garments, references
from curation.clip import Clip
from curation.config import Config
from curation.ledger import Stage
from curation.roles import Cast
from curation.store import Store
from curation.work import Item, each

ROLES = {
    Stage.FILTER: ("person", "flow", "aesthetics", "quality"),
    Stage.CAPTION: ("captioner",),
    Stage.GARMENT: ("dresser", "inspector"),
    Stage.REFERENCE: ("dresser", "inspector"),
}
"""What each stage asks of the cast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """`troubles` gathers the clips that wait for a model that failed."""

    store: Store
    config: Config
    cast: Cast
    console: Console = field(default_factory=lambda: Console(stderr=True))
    troubles: list[str] = field(default_factory=list)

    def run(self, stage: Stage) -> None:
        """
        Raises:
            GivenUp: models failed for too many clips in a row.
        """
        {
            Stage.FILTER: self._filter,
            Stage.CAPTION: self._caption,
            Stage.GARMENT: self._garment,
            Stage.REFERENCE: self._reference,
        }[stage]()

    def _filter(self) -> None:
        store, config, cast = self.store, self.config, self.cast
        self._each("scenes", store.sources(), lambda video: filtering.split(store, config, video))
        clips = self._open(Stage.FILTER)
        # Opened before the threads begin, so that a model is loaded once and says at once what it lacks.
        _ = cast.person, cast.flow, cast.aesthetics, cast.quality
        self._each("filter", clips, lambda clip: filtering.judge(store, config, cast, clip))
        filtering.leave_duplicates(store, config, list(store.clips()))

    def _caption(self) -> None:
        captioner = self.cast.captioner
        self._each(
            "caption",
            self._open(Stage.CAPTION),
            lambda clip: captioning.caption(self.store, self.config, captioner, clip),
        )

    def _garment(self) -> None:
        dresser, inspector = self.cast.dresser, self.cast.inspector
        self._each(
            "garment",
            self._open(Stage.GARMENT),
            lambda clip: garments.take_off(self.store, self.config, dresser, inspector, clip),
        )

    def _reference(self) -> None:
        store, config, dresser, inspector = self.store, self.config, self.cast.dresser, self.cast.inspector
        self._each("types", self._open(Stage.REFERENCE), lambda clip: garments.classify(store, inspector, clip))
        clips = list(store.clips())
        wardrobe = garments.wardrobe(store, clips)
        complete = all(clip.id in wardrobe or store.ledger(clip.id).discarded for clip in clips)
        known = [clip for clip in self._open(Stage.REFERENCE) if clip.id in wardrobe]
        self._each(
            "reference",
            known,
            lambda clip: references.dress(store, config, dresser, inspector, wardrobe, clip, complete=complete),
        )

    def _open(self, stage: Stage) -> list[Clip]:
        """Clips for which the stage has something to do."""
        return [clip for clip in self.store.clips() if self.store.ledger(clip.id).open(stage)]

    def _each(self, title: str, items: Sequence[Item], do: Callable[[Item], None]) -> None:
        config = self.config
        self.troubles.extend(
            each(
                title,
                items,
                do,
                workers=config.workers,
                give_up_after=config.give_up_after,
                console=self.console,
            )
        )
