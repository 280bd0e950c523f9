"""The drawn world: persons who move and wear garments, drawn at any size, with everything about them known."""

from training.world.captions import (
    brief_caption,
    dynamic_caption,
    full_caption,
    garment_phrase,
    sixteenth,
    static_caption,
)
from training.world.colour import Colour
from training.world.figure import JOINTS
from training.world.frame import SIZE, Masks, draw_clip, draw_frame, joints, masks, product_picture
from training.world.garment import Collar, Cut, Form, Garment, GarmentType, Length, Pattern, Sleeve, draw_garment
from training.world.identity import Person, draw_person
from training.world.motion import FRAMES_PER_SECOND, Action, Motion, draw_motion
from training.world.outfit import Outfit, wear
from training.world.paint import Part
from training.world.pose import Pose
from training.world.sample import Sample, Truth, draw_sample, draw_truth
from training.world.scene import Scene, draw_scene
from training.world.split import Split, split_of

__all__ = [
    "FRAMES_PER_SECOND",
    "JOINTS",
    "SIZE",
    "Action",
    "Collar",
    "Colour",
    "Cut",
    "Form",
    "Garment",
    "GarmentType",
    "Length",
    "Masks",
    "Motion",
    "Outfit",
    "Part",
    "Pattern",
    "Person",
    "Pose",
    "Sample",
    "Scene",
    "Sleeve",
    "Split",
    "Truth",
    "brief_caption",
    "draw_clip",
    "draw_frame",
    "draw_garment",
    "draw_motion",
    "draw_person",
    "draw_sample",
    "draw_scene",
    "draw_truth",
    "dynamic_caption",
    "full_caption",
    "garment_phrase",
    "joints",
    "masks",
    "product_picture",
    "sixteenth",
    "split_of",
    "static_caption",
    "wear",
]  # fmt: skip
