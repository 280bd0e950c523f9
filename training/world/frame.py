"""Whole pictures: a frame of a clip, its labels, a product picture."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import skia

from training.world.body import draw_body, draw_shadow
from training.world.colour import Colour, scaled
from training.world.figure import HEIGHT, WIDTH, build, stand
from training.world.garment import Cut, Garment, GarmentType, Pattern
from training.world.identity import Person
from training.world.motion import Motion
from training.world.outfit import Outfit
from training.world.paint import Painter, Part
from training.world.pose import Arm, Pose
from training.world.scene import Scene, background
from training.world.wardrobe import PARTS, draw_full, draw_lower, draw_sleeve, draw_trouser_leg, draw_upper

SIZE = (192, 128)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """What is where in one frame. `labels` is uint8 [H, W] with the values of `Part`."""

    labels: npt.NDArray[np.uint8]

    @property
    def person(self) -> npt.NDArray[np.bool_]:
        """bool [H, W], clothes included."""
        return np.not_equal(self.labels, Part.SCENE)

    @property
    def head(self) -> npt.NDArray[np.bool_]:
        """bool [H, W], hair and face."""
        return np.equal(self.labels, Part.HEAD)

    def garment(self, type_: GarmentType) -> npt.NDArray[np.bool_]:
        """bool [H, W], where the garment of that type is seen."""
        return np.equal(self.labels, PARTS[type_])


def draw_frame(
    person: Person, scene: Scene, outfit: Outfit, pose: Pose, size: tuple[int, int] = SIZE
) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]; `size` is (rows, columns)."""
    painter = Painter(size)
    painter.canvas.save()
    painter.canvas.resetMatrix()
    painter.canvas.drawImage(background(scene, size), 0, 0)
    painter.canvas.restore()
    draw_shadow(painter, stand(person, pose))
    draw_body(painter, person, outfit, pose)
    return painter.picture()


def masks(person: Person, outfit: Outfit, pose: Pose, size: tuple[int, int] = SIZE) -> Masks:
    """The visible parts of the frame that `draw_frame` draws; the scene has none."""
    painter = Painter(size, labels=True)
    draw_body(painter, person, outfit, pose)
    return Masks(labels=painter.label_map())


def joints(person: Person, pose: Pose, size: tuple[int, int] = SIZE) -> npt.NDArray[np.float32]:
    """float32 [J, 2], (x, y) in pixels, in the order of `figure.JOINTS`."""
    rows, columns = size
    scale = min(rows / HEIGHT, columns / WIDTH)
    offset = ((columns - WIDTH * scale) / 2, (rows - HEIGHT * scale) / 2)
    return (np.array(stand(person, pose).joints, np.float32) * scale + np.array(offset, np.float32)).astype(np.float32)


def draw_clip(
    person: Person,
    scene: Scene,
    outfit: Outfit,
    motion: Motion,
    *,
    first_frame: int = 0,
    frames: int,
    size: tuple[int, int] = SIZE,
) -> npt.NDArray[np.uint8]:
    """uint8 [T, H, W, 3]: `frames` frames of `motion` from `first_frame` on, twelve a second."""
    phases = (motion.phase(first_frame + i) for i in range(frames))
    return np.stack([draw_frame(person, scene, outfit, motion.pose(phase), size) for phase in phases])


_FLAT_ARM = Arm(lift=0.62, swing=0.0, fore_lift=0.5, fore_swing=0.0)
_FLAT = Pose(left_arm=_FLAT_ARM, right_arm=_FLAT_ARM)
_ROOM = (112.0, 168.0)
"""What a product may fill, figure units."""
_ZOOM = 1.6
"""How much larger than on a body a small product is shown at most."""


def product_picture(garment: Garment, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]: `garment` laid out flat in the middle of white."""
    painter = Painter(size)
    painter.canvas.clear(skia.ColorWHITE)
    left, top, right, bottom = _extent(garment.type, garment.cut)
    zoom = min(_ZOOM, _ROOM[0] / (right - left), _ROOM[1] / (bottom - top))
    painter.canvas.translate(WIDTH / 2, HEIGHT / 2)
    painter.canvas.scale(zoom, zoom)
    painter.canvas.translate(-(left + right) / 2, -(top + bottom) / 2)
    _lay_out(painter, garment)
    return painter.picture()


@lru_cache(maxsize=256)
def _extent(type_: GarmentType, cut: Cut) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a garment on the flat figure."""
    white = Colour.WHITE
    garment = Garment(
        type=type_, cut=cut, colour=white, rgb=white.rgb, pattern=Pattern.PLAIN, second=white,
        second_rgb=white.rgb, period=1,
    )  # fmt: skip
    painter = Painter(SIZE, labels=True)
    _lay_out(painter, garment)
    rows, columns = np.nonzero(painter.label_map())
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def _lay_out(painter: Painter, garment: Garment) -> None:
    figure = build(_FLAT, width=1.0, height=1.0, bust=garment.type is GarmentType.FULL)
    inside = (scaled(garment.rgb, 0.6), PARTS[garment.type])
    if garment.type is GarmentType.LOWER:
        for leg in figure.legs:
            draw_trouser_leg(painter, figure, leg, garment)
        draw_lower(painter, figure, garment)
        return
    draw = draw_upper if garment.type is GarmentType.UPPER else draw_full
    draw(painter, figure, garment, inside)
    for arm in figure.arms:
        draw_sleeve(painter, figure, arm, garment)
