"""What the demo and the benchmarks send: a person and two garments that the embedded student never saw.

Drawn by `python -m training.world pictures --seed 179 --out demo/pictures`, of the evaluation split.
"""

from __future__ import annotations

from pathlib import Path

_PICTURES = Path(__file__).parent / "pictures"
PERSON = _PICTURES / "person.jpg"
GARMENT = _PICTURES / "garment-pink-stripes.png"
OTHER_GARMENT = _PICTURES / "garment-brown-plain.png"
PROMPT = "She dances, facing her right, quickly, medium; phase 6 of 16."
