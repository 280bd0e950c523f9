"""Draws the demo's pictures: a person and two garments, flat, at a phone photo's proportions.

Run `python -m demo.draw` to make them again; the committed files are its output.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

PICTURES = Path(__file__).parent / "pictures"
SIZE = (512, 768)
_SMOOTHING = 4
Colour = tuple[int, int, int]
Point = tuple[float, float]

_SKIN: Colour = (224, 172, 138)
_HAIR: Colour = (62, 39, 30)
_TORSO: list[Point] = [(0.36, 0.30), (0.64, 0.30), (0.68, 0.36), (0.63, 0.60), (0.37, 0.60), (0.32, 0.36)]
_SLEEVES: list[list[Point]] = [
    [(0.36, 0.30), (0.24, 0.44), (0.31, 0.48), (0.38, 0.40)],
    [(0.64, 0.30), (0.76, 0.44), (0.69, 0.48), (0.62, 0.40)],
]


def person() -> Image.Image:
    """A person in a grey shirt before a plain wall."""
    canvas = _Canvas((214, 221, 226))
    canvas.box((0.0, 0.86, 1.0, 1.0), (176, 158, 140))
    for x in (0.40, 0.53):
        canvas.polygon([(x, 0.58), (x + 0.08, 0.58), (x + 0.075, 0.90), (x + 0.01, 0.90)], (48, 60, 92))
        canvas.ellipse((x - 0.01, 0.885, x + 0.09, 0.925), (40, 34, 34))
    for near, far in (((0.28, 0.45), (0.25, 0.62)), ((0.72, 0.45), (0.75, 0.62))):
        canvas.line(near, far, _SKIN, 0.055)
    _shirt(canvas, (150, 154, 160))
    canvas.box((0.46, 0.25, 0.54, 0.32), _SKIN)
    canvas.ellipse((0.385, 0.075, 0.615, 0.25), _HAIR)
    canvas.ellipse((0.405, 0.105, 0.595, 0.275), _SKIN)
    for x in (0.455, 0.530):
        canvas.ellipse((x, 0.175, x + 0.018, 0.187), _HAIR)
    canvas.line((0.475, 0.228), (0.525, 0.228), (170, 90, 84), 0.008)
    return canvas.finished()


def garment(colour: Colour, stripe: Colour) -> Image.Image:
    """A product picture: a shirt with horizontal stripes, laid flat on white."""
    canvas = _Canvas((255, 255, 255))
    _shirt(canvas, colour)
    for top in (0.38, 0.44, 0.50, 0.56):
        left, right = _sides(top)
        lower_left, lower_right = _sides(top + 0.025)
        canvas.polygon([(left, top), (right, top), (lower_right, top + 0.025), (lower_left, top + 0.025)], stripe)
    return canvas.finished()


def _sides(y: float) -> tuple[float, float]:
    """Where the tapering torso begins and ends at a height below the arms."""
    inwards = 0.05 * (y - 0.36) / (0.60 - 0.36)
    return 0.32 + inwards, 0.68 - inwards


class _Canvas:
    """Coordinates are fractions of width and height; drawn large and scaled down for smooth edges."""

    def __init__(self, background: Colour) -> None:
        self._image = Image.new("RGB", (SIZE[0] * _SMOOTHING, SIZE[1] * _SMOOTHING), background)
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: list[Point], colour: Colour) -> None:
        self._draw.polygon([self._at(point) for point in points], colour)

    def box(self, corners: tuple[float, float, float, float], colour: Colour) -> None:
        self._draw.rectangle([self._at(corners[:2]), self._at(corners[2:])], colour)

    def ellipse(self, corners: tuple[float, float, float, float], colour: Colour) -> None:
        self._draw.ellipse([self._at(corners[:2]), self._at(corners[2:])], colour)

    def line(self, start: Point, end: Point, colour: Colour, width: float) -> None:
        self._draw.line([self._at(start), self._at(end)], colour, round(width * self._image.width))

    def finished(self) -> Image.Image:
        return self._image.resize(SIZE, Image.Resampling.LANCZOS)

    def _at(self, point: Point) -> Point:
        return (point[0] * self._image.width, point[1] * self._image.height)


def _shirt(canvas: _Canvas, colour: Colour) -> None:
    darker = (round(0.85 * colour[0]), round(0.85 * colour[1]), round(0.85 * colour[2]))
    for sleeve in _SLEEVES:
        canvas.polygon(sleeve, darker)
    canvas.polygon(_TORSO, colour)
    canvas.ellipse((0.45, 0.285, 0.55, 0.325), darker)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    person().save(PICTURES / "person.jpg", quality=90)
    garment((196, 48, 52), stripe=(196, 48, 52)).save(PICTURES / "garment-red.png", optimize=True)
    garment((36, 92, 168), stripe=(240, 240, 236)).save(PICTURES / "garment-blue-striped.png", optimize=True)


if __name__ == "__main__":
    main()
