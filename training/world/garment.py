"""Garments: what is worn, sold and switched."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from training.world.colour import Colour, Rgb, distance, jittered
from training.world.split import Split, split_of

CONTRAST = 190.0
"""The least distance between a pattern's two colours."""


class GarmentType(StrEnum):
    UPPER = "upper"
    LOWER = "lower"
    FULL = "full"


class Pattern(StrEnum):
    PLAIN = "plain"
    STRIPES = "stripes"
    CHECKS = "checks"
    DOTS = "dots"
    LOGO = "logo"


class Sleeve(StrEnum):
    NONE = "sleeveless"
    SHORT = "short-sleeved"
    LONG = "long-sleeved"


class Length(StrEnum):
    SHORT = "short"
    REGULAR = "regular"
    LONG = "long"


class Collar(StrEnum):
    ROUND = "round-necked"
    V = "v-necked"
    POLO = "polo"


class Form(StrEnum):
    """How the lower body is covered."""

    TROUSERS = "trousers"
    SKIRT = "skirt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A garment's shape. A lower garment has no sleeve and no collar, an upper one no form."""

    sleeve: Sleeve | None = None
    length: Length
    collar: Collar | None = None
    form: Form | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(str(part) for part in (self.sleeve, self.length, self.collar, self.form) if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Garment:
    """One garment. `rgb` and `second_rgb` are its colours jittered, `period` is a pattern's repeat in figure units."""

    type: GarmentType
    cut: Cut
    colour: Colour
    rgb: Rgb
    pattern: Pattern
    second: Colour
    second_rgb: Rgb
    period: float

    def __post_init__(self) -> None:
        if (self.type is GarmentType.LOWER) != (self.cut.sleeve is None):
            raise ValueError(f"a {self.type} garment with the sleeve {self.cut.sleeve}")
        if (self.type is GarmentType.UPPER) != (self.cut.form is None):
            raise ValueError(f"a {self.type} garment with the form {self.cut.form}")

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the garment it is; the jitter and the period do not."""
        second = () if self.pattern is Pattern.PLAIN else (self.second.title,)
        return ("garment", self.type, *self.cut.key, self.colour.title, self.pattern, *second)


def draw_garment(draw: Random, split: Split, type_: GarmentType, *, skirts: bool = True) -> Garment:
    """A garment of `split`. `skirts=False` leaves skirts and cropped tops out."""
    while True:
        garment = _any(draw, type_, skirts)
        if split_of(garment.key) is split:
            return garment


_CONTRASTS = {a: [b for b in Colour if distance(a.rgb, b.rgb) >= CONTRAST] for a in Colour}
_WEIGHTS = {Pattern.PLAIN: 3, Pattern.STRIPES: 3, Pattern.CHECKS: 2, Pattern.DOTS: 2, Pattern.LOGO: 2}


def _any(draw: Random, type_: GarmentType, skirts: bool) -> Garment:
    colour = draw.choice(list(Colour))
    second = draw.choice(_CONTRASTS[colour])
    return Garment(
        type=type_,
        cut=_cut(draw, type_, skirts),
        colour=colour,
        rgb=jittered(colour.rgb, draw),
        pattern=draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0],
        second=second,
        second_rgb=jittered(second.rgb, draw),
        period=draw.choice((12.0, 16.0)),
    )


def _cut(draw: Random, type_: GarmentType, skirts: bool) -> Cut:
    cropped = skirts or type_ is not GarmentType.UPPER
    length = draw.choice(list(Length) if cropped else [Length.REGULAR, Length.LONG])
    if type_ is GarmentType.LOWER:
        return Cut(length=length, form=draw.choice(list(Form)) if skirts else Form.TROUSERS)
    sleeve, collar = draw.choice(list(Sleeve)), draw.choice(list(Collar))
    form = Form.SKIRT if type_ is GarmentType.FULL else None
    return Cut(sleeve=sleeve, length=length, collar=collar, form=form)
