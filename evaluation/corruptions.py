"""Drawn sessions, right and wrong in one known way each: what metrics are validated with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
from scipy import ndimage

from contract.geometry import StudentGeometry
from evaluation.cases import Case
from evaluation.drive.script import Clip, Script
from evaluation.metrics.arrays import Frames
from training.world import Outfit, Pattern, Person, draw_frame, draw_scene, wear

Corruption = Callable[[Case, "DrawnSession"], Frames]


class DrawnSession:
    """A switch as it should be shown, frame by frame at the motion's exact phases."""

    def __init__(self, case: Case, script: Script, geometry: StudentGeometry) -> None:
        assert script.switch is not None
        self.case = case
        *starts, end = script.starts(geometry)
        self.starts = tuple(starts)
        self.switch_frame = self.starts[script.switch.chunk]
        self.after = end - self.switch_frame
        self.before = self.draw(case.sample.outfit, range(self.switch_frame))

    def draw(
        self, outfit: Outfit, frames: range | list[float], person: Person | None = None, case: Case | None = None
    ) -> Frames:
        """Frames of the motion, in an outfit."""
        sample = (case or self.case).sample
        poses = [sample.motion.pose(sample.motion.phase(frame)) for frame in frames]
        who = person or sample.person
        return np.stack([draw_frame(who, sample.scene, outfit, pose, self.case.size) for pose in poses])

    @property
    def shown(self) -> range:
        """The motion's frames after the switch: the first repeats the last pose before it."""
        return range(self.switch_frame - 1, self.switch_frame - 1 + self.after)

    def clip(self, after: Frames) -> Clip:
        return Clip(frames=np.concatenate([self.before, after]), starts=self.starts)

    def right(self) -> Frames:
        return self.draw(self.case.switched_to, self.shown)


def _noisy(case: Case, session: DrawnSession) -> Frames:
    noise = np.random.default_rng(case.session_seed).normal(0, 5, (session.after, *case.size, 3))
    return np.clip(session.right() + noise, 0, 255).astype(np.uint8)


def _wrong_colour(case: Case, session: DrawnSession) -> Frames:
    other = case.sample.other
    return session.draw(wear(case.sample.outfit, replace(other, rgb=_far(other.rgb))), session.shown)


def _wrong_pattern(case: Case, session: DrawnSession) -> Frames:
    other = case.sample.other
    wrong = Pattern.STRIPES if other.pattern is not Pattern.STRIPES else Pattern.DOTS
    return session.draw(wear(case.sample.outfit, replace(other, pattern=wrong)), session.shown)


def _old_garment(case: Case, session: DrawnSession) -> Frames:
    return session.draw(case.sample.outfit, session.shown)


def _late(case: Case, session: DrawnSession) -> Frames:
    frames = session.right()
    late = session.after // 2
    frames[:late] = _old_garment(case, session)[:late]
    return frames


def _frozen(case: Case, session: DrawnSession) -> Frames:
    return np.repeat(session.right()[:1], session.after, axis=0)


def _reversed(case: Case, session: DrawnSession) -> Frames:
    last = session.switch_frame - 1
    return session.draw(case.switched_to, [last - frame for frame in range(session.after)])


def _jumped(case: Case, session: DrawnSession) -> Frames:
    ahead = 0.4 * 12 / case.sample.motion.cycles_per_second
    return session.draw(case.switched_to, [frame + ahead for frame in session.shown])


def _shifted(case: Case, session: DrawnSession) -> Frames:
    return np.roll(session.right(), (8, 8), axis=(1, 2))


def _blurred(case: Case, session: DrawnSession) -> Frames:
    smooth: Frames = ndimage.gaussian_filter(session.right(), (0, 4, 4, 0))
    return smooth


def _other_person(case: Case, session: DrawnSession) -> Frames:
    return session.draw(case.switched_to, session.shown, case.others()[0])


def _other_scene(case: Case, session: DrawnSession) -> Frames:
    draw, sample = Random(case.session_seed), case.sample
    scene = draw_scene(draw)
    while scene.wall is sample.scene.wall:
        scene = draw_scene(draw)
    elsewhere = replace(case, sample=replace(sample, scene=scene))
    return session.draw(case.switched_to, session.shown, case=elsewhere)


def _other_garment_changed(case: Case, session: DrawnSession) -> Frames:
    """The garment that must stay is changed too; a dress stands alone, so there the person's build changes instead."""
    sample, outfit = case.sample, case.switched_to
    kept = [garment for garment in outfit.garments if garment.type is not sample.other.type]
    if not kept:
        return _other_person(case, session)
    turned = replace(kept[0], rgb=_far(kept[0].rgb), second_rgb=_far(kept[0].second_rgb))
    return session.draw(wear(outfit, turned), session.shown)


def _far(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """Half the range away in every channel: a colour never turns into one like it, as a grey's complement would."""
    red, green, blue = ((channel + 128) % 256 for channel in rgb)
    return red, green, blue


CORRUPTIONS: dict[str, Corruption] = {
    "right": lambda case, session: session.right(),
    "noisy": _noisy,
    "wrong colour": _wrong_colour,
    "wrong pattern": _wrong_pattern,
    "old garment": _old_garment,
    "late": _late,
    "frozen": _frozen,
    "reversed": _reversed,
    "jumped": _jumped,
    "shifted": _shifted,
    "blurred": _blurred,
    "other person": _other_person,
    "other scene": _other_scene,
    "other clothes": _other_garment_changed,
}
