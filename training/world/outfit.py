"""Everything a person wears at once."""

from dataclasses import dataclass, replace

from training.world.colour import Rgb
from training.world.garment import Garment, GarmentType


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """A top (or a dress, worn alone), a lower garment, and shoes."""

    upper: Garment
    lower: Garment | None
    shoes: Rgb

    def __post_init__(self) -> None:
        if self.upper.type is GarmentType.LOWER or (self.lower and self.lower.type is not GarmentType.LOWER):
            raise ValueError("an outfit's garments are in each other's place")
        if (self.upper.type is GarmentType.FULL) != (self.lower is None):
            raise ValueError("a dress is worn alone, a top with a lower garment")

    @property
    def garments(self) -> tuple[Garment, ...]:
        """From the inside outwards, as they are drawn."""
        return (self.upper,) if self.lower is None else (self.lower, self.upper)


def wear(outfit: Outfit, garment: Garment) -> Outfit:
    """`outfit` with `garment` in place of the one of its type."""
    if garment.type not in {g.type for g in outfit.garments}:
        raise ValueError(f"the outfit has no {garment.type} garment to replace")
    return replace(outfit, lower=garment) if garment.type is GarmentType.LOWER else replace(outfit, upper=garment)
