"""Whole pictures: a frame of a clip, its labels, a product picture."""

from dataclasses import dataclass

import numpy as np
import skia

from training.world.body import draw_body, draw_shadow
from training.world.colour import scaled
from training.world.figure import HEIGHT, WIDTH, Figure, build, stand
from training.world.garment import Garment, GarmentType
from training.world.identity import Person
from training.world.motion import Arm, Motion, Pose
from training.world.outfit import Outfit
from training.world.paint import Painter, Part
from training.world.scene import Scene, background
from training.world.wardrobe import PARTS, draw_full, draw_lower, draw_sleeve, draw_trouser_leg, draw_upper

SIZE = (192, 128)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """What is where in one frame. `labels` is uint8 [H, W] with the values of `Part`."""

    labels: np.ndarray

    @property
    def person(self) -> np.ndarray:
        """bool [H, W], clothes included."""
        return self.labels != Part.SCENE

    @property
    def head(self) -> np.ndarray:
        """bool [H, W], hair and face."""
        return self.labels == Part.HEAD

    def garment(self, type_: GarmentType) -> np.ndarray:
        """bool [H, W], where the garment of that type is seen."""
        return self.labels == PARTS[type_]


def draw_frame(person: Person, scene: Scene, outfit: Outfit, pose: Pose, size: tuple[int, int] = SIZE) -> np.ndarray:
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


def joints(person: Person, pose: Pose, size: tuple[int, int] = SIZE) -> np.ndarray:
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
) -> np.ndarray:
    """uint8 [T, H, W, 3]: `frames` frames of `motion` from `first_frame` on, twelve a second."""
    phases = (motion.phase(first_frame + i) for i in range(frames))
    return np.stack([draw_frame(person, scene, outfit, motion.pose(phase), size) for phase in phases])


_FLAT_ARM = Arm(lift=0.62, swing=0.0, fore_lift=0.5, fore_swing=0.0)
_FLAT = Pose(left_arm=_FLAT_ARM, right_arm=_FLAT_ARM)
_ZOOM = {GarmentType.UPPER: 1.3, GarmentType.LOWER: 1.4, GarmentType.FULL: 1.15}
_MIDDLE = {GarmentType.UPPER: 78.0, GarmentType.LOWER: 128.0, GarmentType.FULL: 104.0}


def product_picture(garment: Garment, size: tuple[int, int] = SIZE) -> np.ndarray:
    """uint8 [H, W, 3]: `garment` laid out flat on white, nearly as large as on a body."""
    painter = Painter(size)
    painter.canvas.clear(skia.ColorWHITE)
    zoom = _ZOOM[garment.type]
    painter.canvas.translate(WIDTH / 2, HEIGHT / 2)
    painter.canvas.scale(zoom, zoom)
    painter.canvas.translate(-WIDTH / 2, -_MIDDLE[garment.type])
    _lay_out(painter, build(_FLAT, width=1.0, height=1.0, bust=garment.type is GarmentType.FULL), garment)
    return painter.picture()


def _lay_out(painter: Painter, figure: Figure, garment: Garment) -> None:
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
