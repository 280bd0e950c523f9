"""Motions: cyclic, smooth, with a phase that is known at every moment.

A phase counts cycles: phase(t) = phase0 + tempo * t, and only its fraction matters. Every motion moves the hips and the
head too, out of step with the limbs, so that no pose is passed twice in opposite directions within a cycle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from math import cos, pi, sin
from random import Random

from training.world.pose import Arm, Foot, Pose
from training.world.split import Split, split_of

FRAMES_PER_SECOND = 12


class Action(StrEnum):
    SWAY = "sway"
    WALK = "walk"
    TURN = "turn"
    WAVE = "wave"
    DANCE = "dance"
    RAISE = "raise"


class Side(Enum):
    """The person's own side; her left is the viewer's right."""

    LEFT = 1
    RIGHT = -1


class Tempo(Enum):
    """Cycles a second, before its jitter."""

    SLOWLY = 0.31
    STEADILY = 0.43
    QUICKLY = 0.61


class Amplitude(Enum):
    SMALL = 0.74
    MEDIUM = 0.9
    WIDE = 1.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """One motion. `cycles_per_second` is the tempo with its jitter, `phase0` the phase at frame 0."""

    action: Action
    side: Side
    tempo: Tempo
    amplitude: Amplitude
    cycles_per_second: float
    phase0: float

    @property
    def key(self) -> tuple[str, ...]:
        return ("motion", self.action, self.side.name, self.tempo.name, self.amplitude.name)

    def phase(self, frame: float) -> float:
        """The phase at a frame (12 a second), in cycles, in [0, 1)."""
        return (self.phase0 + self.cycles_per_second * frame / FRAMES_PER_SECOND) % 1.0

    def pose(self, phase: float) -> Pose:
        return _POSES[self.action](2 * pi * phase, self.side.value, self.amplitude.value)


def draw_motion(draw: Random, split: Split, action: Action | None = None) -> Motion:
    """A motion of `split`; any action unless one is given."""
    while True:
        tempo = draw.choice(list(Tempo))
        motion = Motion(
            action=action or draw.choice(list(Action)),
            side=draw.choice(list(Side)),
            tempo=tempo,
            amplitude=draw.choice(list(Amplitude)),
            cycles_per_second=tempo.value * draw.uniform(0.95, 1.05),
            phase0=draw.random(),
        )
        if split_of(motion.key) is split:
            return motion


def _hanging(out: float, forward: float = 0.0, bend: float = 0.12) -> Arm:
    return Arm(lift=out, swing=forward, fore_lift=out - 0.06, fore_swing=forward + bend)


def _sway(a: float, side: int, size: float) -> Pose:
    s = sin(a)
    return Pose(
        yaw=0.12 * side + 0.14 * size * cos(a),
        head_yaw=-0.22 * size * cos(a - 0.5),
        head_roll=0.07 * size * sin(a - 0.6),
        lean=-0.07 * size * s,
        shift=2.0 * side + 7.5 * size * s,
        dip=1.2 + 0.9 * cos(2 * a),
        hip_roll=0.09 * size * s,
        sway=cos(a - 0.4),
        left_arm=_hanging(0.24 + 0.16 * size * sin(a - 1.0), 0.12 * cos(a)),
        right_arm=_hanging(0.24 - 0.16 * size * sin(a - 1.0), 0.12 * cos(a)),
    )


def _walk(a: float, side: int, size: float) -> Pose:
    stride, c = 17.0 * size, cos(a)
    return Pose(
        yaw=0.58 * side + 0.08 * c,
        head_yaw=-0.22 * side,
        head_roll=0.03 * sin(a),
        lean=0.05 * side,
        shift=2.2 * sin(a),
        dip=2.6 + 1.4 * size * cos(2 * a),
        hip_roll=0.05 * sin(a),
        sway=sin(2 * a - 0.5) * 0.6,
        left_arm=_hanging(0.16, -0.62 * size * c, 0.42),
        right_arm=_hanging(0.16, 0.62 * size * c, 0.42),
        left_foot=Foot(reach=stride * c, rise=_lifted(-sin(a)) * 12.0 * size),
        right_foot=Foot(reach=-stride * c, rise=_lifted(sin(a)) * 12.0 * size),
    )


def _turn(a: float, side: int, size: float) -> Pose:
    s = sin(a)
    return Pose(
        yaw=side * (0.26 + 0.62 * size * s),
        head_yaw=side * 0.3 * size * sin(a + 0.7),
        head_roll=0.05 * side * cos(a),
        lean=0.03 * side * s,
        shift=side * 4.5 * size * sin(a - 0.7),
        dip=1.4 + 0.8 * cos(2 * a),
        hip_roll=0.05 * side * s,
        sway=-side * cos(a - 0.3),
        left_arm=_hanging(0.3 - 0.16 * size * cos(a), 0.3 * side * cos(a)),
        right_arm=_hanging(0.3 + 0.16 * size * cos(a), -0.3 * side * cos(a)),
    )


def _wave(a: float, side: int, size: float) -> Pose:
    s = sin(a)
    raised = Arm(lift=0.64 + 0.1 * size * s, swing=0.2, fore_lift=2.74 - 0.5 * size * s, fore_swing=0.1)
    rest = _hanging(0.22 + 0.12 * size * cos(a), 0.1)
    return Pose(
        yaw=0.1 * side + 0.1 * side * size * cos(a),
        head_yaw=0.1 * side,
        head_roll=0.1 * side * size * sin(a - 0.5),
        lean=-0.05 * side * size * cos(a),
        shift=side * (-2.0 + 5.0 * size * cos(a)),
        dip=1.2 + 0.8 * cos(2 * a),
        hip_roll=0.07 * side * size * cos(a),
        sway=sin(a - 0.4),
        left_arm=raised if side > 0 else rest,
        right_arm=rest if side > 0 else raised,
    )


def _dance(a: float, side: int, size: float) -> Pose:
    s, c = side * sin(a), side * cos(a)
    return Pose(
        yaw=0.14 * side + 0.24 * size * c,
        head_yaw=-0.12 * c,
        head_roll=-0.13 * side * size * sin(a + 0.5),
        lean=-0.11 * size * s,
        shift=7.0 * size * s,
        dip=3.6 + 2.6 * size * cos(2 * a),
        hip_roll=0.17 * size * s,
        sway=side * cos(a - 0.5),
        left_arm=_bent(s, c, size),
        right_arm=_bent(-s, -c, size),
        left_foot=Foot(rise=5.0 * size * _lifted(-s)),
        right_foot=Foot(rise=5.0 * size * _lifted(s)),
    )


def _bent(s: float, c: float, size: float) -> Arm:
    """An arm of a dancer: the elbow out, the forearm up and down."""
    return Arm(
        lift=0.62 + 0.26 * size * s,
        swing=0.4 + 0.15 * c,
        fore_lift=2.1 + 0.8 * size * (0.8 * s + 0.45 * c),
        fore_swing=0.65,
    )


def _raise(a: float, side: int, size: float) -> Pose:
    up, early = (1 - cos(a)) / 2, (1 - cos(a + 0.5)) / 2
    lift, fore_lift = 0.3 + 1.6 * size * up, 0.45 + 2.15 * size * early
    # Forwards on the way up, so that the hands stay in the picture.
    arm = Arm(
        lift=lift,
        swing=0.15 + 0.85 * sin(lift) ** 2,
        fore_lift=fore_lift,
        fore_swing=0.25 + 0.6 * sin(fore_lift) ** 2,
    )
    return Pose(
        yaw=0.14 * side * size * cos(a + 0.8),
        head_yaw=0.2 * side * sin(a),
        head_roll=-0.07 * side * sin(a),
        lean=-0.05 * side * sin(a),
        shift=side * 4.0 * size * sin(a),
        dip=2.4 + 2.0 * cos(a - 0.3),
        hip_roll=0.1 * side * size * sin(a),
        sway=sin(a - 0.4),
        left_arm=arm,
        right_arm=arm,
    )


def _lifted(x: float) -> float:
    """The positive part of `x`, with a smooth foot."""
    return x * x * (1.6 - 0.6 * x) if x > 0 else 0.0


_POSES: dict[Action, Callable[[float, int, float], Pose]] = {
    Action.SWAY: _sway,
    Action.WALK: _walk,
    Action.TURN: _turn,
    Action.WAVE: _wave,
    Action.DANCE: _dance,
    Action.RAISE: _raise,
}
