"""Persons: skin, hair, face and build."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from random import Random

from training.world.colour import Rgb
from training.world.split import Split, split_of


class Presentation(StrEnum):
    WOMAN = "woman"
    MAN = "man"


class Skin(Enum):
    PORCELAIN = (252, 222, 204)
    FAIR = (244, 204, 176)
    WARM = (232, 182, 146)
    TAN = (212, 156, 116)
    BRONZE = (184, 126, 86)
    BROWN = (148, 96, 66)
    DEEP = (114, 72, 52)


class HairColour(Enum):
    BLACK = (42, 36, 40)
    DARK = (78, 52, 40)
    CHESTNUT = (128, 76, 46)
    RED = (184, 84, 42)
    BLOND = (222, 176, 98)
    SILVER = (190, 190, 198)


class HairStyle(StrEnum):
    SHORT = "short"
    QUIFF = "swept-up"
    CURLY = "curly"
    BUN = "tied-up"
    BOB = "chin-length"
    LONG = "long"
    PONYTAIL = "ponytail"


class Build(StrEnum):
    SLIM = "slim"
    AVERAGE = "average"
    BROAD = "broad"


class Stature(StrEnum):
    SHORT = "short"
    MEDIUM = "medium"
    TALL = "tall"


WIDTHS = {Build.SLIM: 0.98, Build.AVERAGE: 1.06, Build.BROAD: 1.14}
HEIGHTS = {Stature.SHORT: 0.945, Stature.MEDIUM: 0.975, Stature.TALL: 1.0}
_STYLES = {
    Presentation.WOMAN: (HairStyle.BUN, HairStyle.BOB, HairStyle.LONG, HairStyle.PONYTAIL, HairStyle.CURLY),
    Presentation.MAN: (HairStyle.SHORT, HairStyle.QUIFF, HairStyle.CURLY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person. `smile` is 0 (calm) to 1 (beaming), `brow` the brows' thickness."""

    presentation: Presentation
    skin: Skin
    hair_style: HairStyle
    hair_colour: HairColour
    build: Build
    stature: Stature
    beard: bool
    iris: Rgb
    smile: float
    brow: float

    @property
    def key(self) -> tuple[str, ...]:
        return (
            "person",
            self.presentation,
            self.skin.name,
            self.hair_style,
            self.hair_colour.name,
            self.build,
            self.stature,
            str(self.beard),
        )

    @property
    def pronoun(self) -> str:
        return "she" if self.presentation is Presentation.WOMAN else "he"

    @property
    def possessive(self) -> str:
        return "her" if self.presentation is Presentation.WOMAN else "his"

    @property
    def width(self) -> float:
        return WIDTHS[self.build]

    @property
    def height(self) -> float:
        return HEIGHTS[self.stature]


def draw_person(draw: Random, split: Split, presentation: Presentation | None = None) -> Person:
    """A person of `split`; of either presentation unless one is given."""
    while True:
        person = _any(draw, presentation or draw.choice(list(Presentation)))
        if split_of(person.key) is split:
            return person


def _any(draw: Random, presentation: Presentation) -> Person:
    return Person(
        presentation=presentation,
        skin=draw.choice(list(Skin)),
        hair_style=draw.choice(_STYLES[presentation]),
        hair_colour=draw.choice(list(HairColour)),
        build=draw.choice(list(Build)),
        stature=draw.choice(list(Stature)),
        beard=presentation is Presentation.MAN and draw.random() < 0.4,
        iris=draw.choice(((64, 44, 34), (46, 66, 92), (54, 78, 58))),
        smile=draw.uniform(0.3, 1.0),
        brow=draw.uniform(0.9, 1.4),
    )
