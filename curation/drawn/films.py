"""A folder of films for trying the pipeline: good ones, and one for each reason to discard a clip."""

from __future__ import annotations

from pathlib import Path

from curation.drawn.film import Film, Shot, shoot
from curation.roles import GarmentType

BROKEN = "broken.mp4"
FILMS = (
    Film(
        name="cuts",
        shots=(
            Shot(seed=1, wall="CREAM"),
            Shot(seed=2, wall="SLATE", seconds=1.5),
            Shot(seed=3, wall="SAND", type=GarmentType.LOWER, action="raise"),
        ),
    ),
    Film(name="long", shots=(Shot(seed=4, wall="SLATE", seconds=9.0, action="walk"),)),
    Film(name="only-skirts-left", shots=(Shot(seed=5, wall="BLUSH", type=GarmentType.LOWER),)),
    Film(
        name="stubborn",
        shots=(
            Shot(
                seed=6, wall="SAGE", captions=("missing", "language"), take_off=("texture", "context"), put_on=("rest",)
            ),
        ),
    ),
    Film(name="a-good-copy", shots=(Shot(seed=7, wall="CLAY", action="wave"),)),
    Film(name="copied", shots=(Shot(seed=7, wall="CLAY", action="wave"),)),
    Film(name="still", shots=(Shot(seed=8, wall="MIST", still=True),)),
    Film(name="pair", shots=(Shot(seed=9, wall="CREAM", persons=2),)),
    Film(name="ugly", shots=(Shot(seed=10, wall="SLATE", aesthetics=1.4),)),
    Film(name="noisy", shots=(Shot(seed=11, wall="LILAC", quality=0.1),)),
    Film(name="mute", shots=(Shot(seed=12, wall="SAGE", captions=("missing",) * 3),)),
    Film(name="wrong-garment", shots=(Shot(seed=13, wall="BLUSH", take_off=("semantics",) * 3),)),
    Film(name="wrong-texture", shots=(Shot(seed=14, wall="CREAM", take_off=("texture",) * 3),)),
    Film(name="hand-in-picture", shots=(Shot(seed=15, wall="SAND", take_off=("context",) * 3),)),
    Film(name="only-dress", shots=(Shot(seed=16, wall="MIST", type=GarmentType.FULL),)),
    Film(name="not-worn", shots=(Shot(seed=17, wall="CLAY", put_on=("garment",) * 3),)),
    Film(name="new-room", shots=(Shot(seed=18, wall="SAGE", put_on=("rest",) * 3),)),
)


def draw_films(folder: Path) -> None:
    """Every film as MP4 with its truth, and a file that is no video."""
    for film in FILMS:
        shoot(film, folder)
    (folder / BROKEN).write_bytes(b"no video at all")
