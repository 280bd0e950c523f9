"""A sample: a person, what she does, three garments, and the pictures that a student is trained on."""

from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from training.world.captions import dynamic_caption, full_caption, static_caption
from training.world.colour import Rgb, distance
from training.world.frame import SIZE, draw_clip, draw_frame, joints, masks, product_picture
from training.world.garment import Garment, GarmentType, draw_garment
from training.world.identity import Person, Presentation, draw_person
from training.world.motion import Action, Motion, draw_motion
from training.world.outfit import Outfit, wear
from training.world.scene import Scene, draw_scene
from training.world.split import Split

_APART = 150.0
"""The least distance between the colours of a sample's three garments."""
_SHOES: tuple[Rgb, ...] = ((60, 54, 60), (240, 238, 232), (150, 98, 66), (176, 62, 58))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What is known of a clip of T frames.

    `joints` float32 [T, J, 2] in pixels; `garment`, `person` and `head` bool [T, H, W], where the target garment, the
    person with all clothes, and face and hair are seen; `phase` float32 [T] in cycles.
    """

    joints: npt.NDArray[np.float32]
    garment: npt.NDArray[np.bool_]
    person: npt.NDArray[np.bool_]
    head: npt.NDArray[np.bool_]
    phase: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """`reference` and `product` are uint8 [H, W, 3], `clip` is uint8 [T, H, W, 3].

    The reference shows the clip's first pose in `worn` instead of `garment`; `other` is a third garment to switch to.
    `outfit` is what the clip shows.
    """

    seed: int
    split: Split
    person: Person
    scene: Scene
    motion: Motion
    outfit: Outfit
    worn: Garment
    garment: Garment
    other: Garment
    reference: npt.NDArray[np.uint8]
    product: npt.NDArray[np.uint8]
    clip: npt.NDArray[np.uint8]
    truth: Truth | None

    @property
    def static_caption(self) -> str:
        return static_caption(self.scene, self.person, self.outfit)

    @property
    def dynamic_caption(self) -> str:
        """With the phase at the clip's first frame."""
        return dynamic_caption(self.person, self.motion, self.motion.phase(0))

    @property
    def full_caption(self) -> str:
        return full_caption(self.static_caption, self.dynamic_caption)


def draw_sample(
    seed: int,
    split: Split,
    frames: int = 45,
    size: tuple[int, int] = SIZE,
    kind: GarmentType | None = None,
    truth: bool = False,
    action: Action | None = None,
) -> Sample:
    """The sample of `seed` in `split`, the same on every call; of either kind of garment, any action, unless given."""
    draw = Random(f"{split}/{seed}")
    type_ = kind or draw.choices(list(GarmentType), (3, 2, 2))[0]
    presentation = Presentation.WOMAN if type_ is GarmentType.FULL else None
    person = draw_person(draw, split, presentation)
    scene, motion = draw_scene(draw), draw_motion(draw, split, action)
    skirts = person.presentation is Presentation.WOMAN
    garment = draw_garment(draw, split, type_, skirts=skirts)
    worn = _apart(draw, split, skirts, (garment,))
    other = _apart(draw, split, skirts, (garment, worn))
    outfit = _outfit(draw, split, skirts, garment)
    first = motion.pose(motion.phase(0))
    return Sample(
        seed=seed,
        split=split,
        person=person,
        scene=scene,
        motion=motion,
        outfit=outfit,
        worn=worn,
        garment=garment,
        other=other,
        reference=draw_frame(person, scene, wear(outfit, worn), first, size),
        product=product_picture(garment, size),
        clip=draw_clip(person, scene, outfit, motion, frames=frames, size=size),
        truth=draw_truth(person, outfit, motion, garment.type, frames=frames, size=size) if truth else None,
    )


def draw_truth(
    person: Person,
    outfit: Outfit,
    motion: Motion,
    type_: GarmentType,
    *,
    first_frame: int = 0,
    frames: int,
    size: tuple[int, int] = SIZE,
) -> Truth:
    """What is known of the clip that `draw_clip` draws, about the garment of `type_`."""
    phases = [motion.phase(first_frame + i) for i in range(frames)]
    parts = [masks(person, outfit, motion.pose(phase), size) for phase in phases]
    return Truth(
        joints=np.stack([joints(person, motion.pose(phase), size) for phase in phases]),
        garment=np.stack([part.garment(type_) for part in parts]),
        person=np.stack([part.person for part in parts]),
        head=np.stack([part.head for part in parts]),
        phase=np.array(phases, np.float32),
    )


def _apart(draw: Random, split: Split, skirts: bool, from_: tuple[Garment, ...]) -> Garment:
    """Another garment of the same type, far from the given ones in colour."""
    while True:
        garment = draw_garment(draw, split, from_[0].type, skirts=skirts)
        if all(distance(garment.rgb, g.rgb) >= _APART for g in from_):
            return garment


def _outfit(draw: Random, split: Split, skirts: bool, garment: Garment) -> Outfit:
    shoes = draw.choice(_SHOES)
    if garment.type is GarmentType.FULL:
        return Outfit(upper=garment, lower=None, shoes=shoes)
    rest = GarmentType.LOWER if garment.type is GarmentType.UPPER else GarmentType.UPPER
    while True:
        with_ = draw_garment(draw, split, rest, skirts=skirts)
        if distance(with_.rgb, garment.rgb) >= _APART:
            break
    upper, lower = (garment, with_) if garment.type is GarmentType.UPPER else (with_, garment)
    return Outfit(upper=upper, lower=lower, shoes=shoes)
