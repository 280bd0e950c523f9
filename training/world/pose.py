"""A posture of the body, whoever it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Directions of an arm, radians: `lift` outwards from hanging, `swing` forwards; then the same of the forearm."""

    lift: float
    swing: float
    fore_lift: float
    fore_swing: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Foot:
    """A foot's offset from its stance, figure units: forwards and upwards."""

    reach: float = 0.0
    rise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A body's posture, radians and figure units; positive is the viewer's right, or downwards.

    `sway` (-1 to 1) is where loose things, such as a ponytail or a hem, swing to.
    """

    yaw: float = 0.0
    head_yaw: float = 0.0
    head_roll: float = 0.0
    lean: float = 0.0
    shift: float = 0.0
    dip: float = 0.0
    hip_roll: float = 0.0
    sway: float = 0.0
    left_arm: Arm
    right_arm: Arm
    left_foot: Foot = Foot()
    right_foot: Foot = Foot()
