"""A posture and a build to joints: a skeleton in three dimensions, seen straight on.

The figure's space is 128 units wide and 192 high, x to the right, y downwards, z towards the viewer; a picture of
any size shows it in its middle. A person of stature 1 is 167 units tall.
"""

from dataclasses import dataclass
from math import cos, hypot, sin, sqrt

from training.world.identity import Person
from training.world.pose import Arm, Foot, Pose

WIDTH, HEIGHT = 128.0, 192.0
FLOOR = 178.0
JOINTS = (
    "head",
    "neck",
    "pelvis",
    *(
        f"{side}_{joint}"
        for side in ("left", "right")
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ),
)

Vec2 = tuple[float, float]
Vec3 = tuple[float, float, float]

_SPINE, _THIGH, _SHIN, _UPPER_ARM, _FOREARM, _ANKLE = 48.0, 40.0, 37.0, 26.0, 22.5, 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limb:
    """An arm (shoulder, elbow, wrist) or a leg (hip, knee, ankle); `side` is 1 for the person's left."""

    side: int
    root: Vec3
    middle: Vec3
    tip: Vec3

    @property
    def points(self) -> tuple[Vec2, Vec2, Vec2]:
        return self.root[:2], self.middle[:2], self.tip[:2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Joints in figure units. `across` and `down` are the torso's axes on the picture, `width`, `height` the build."""

    pose: Pose
    width: float
    height: float
    bust: bool
    head: Vec2
    neck: Vec2
    pelvis: Vec2
    across: Vec2
    down: Vec2
    left_arm: Limb
    right_arm: Limb
    left_leg: Limb
    right_leg: Limb

    @property
    def head_yaw(self) -> float:
        return self.pose.yaw + self.pose.head_yaw

    @property
    def head_roll(self) -> float:
        return self.pose.head_roll + 0.5 * self.pose.lean

    @property
    def arms(self) -> tuple[Limb, Limb]:
        return self.left_arm, self.right_arm

    @property
    def legs(self) -> tuple[Limb, Limb]:
        return self.left_leg, self.right_leg

    @property
    def joints(self) -> tuple[Vec2, ...]:
        """In the order of `JOINTS`."""
        sides = ((self.left_arm, self.left_leg), (self.right_arm, self.right_leg))
        return (self.head, self.neck, self.pelvis, *(p for arm, leg in sides for p in (*arm.points, *leg.points)))

    def on_torso(self, u: float, v: float) -> Vec2:
        """A point `u` across and `v` down from the neck's base."""
        return (
            self.neck[0] + u * self.across[0] + v * self.down[0],
            self.neck[1] + u * self.across[1] + v * self.down[1],
        )


def stand(person: Person, pose: Pose) -> Figure:
    """Put `person` on the floor in `pose`."""
    return build(pose, width=person.width, height=person.height, bust=person.presentation.value == "woman")


def build(pose: Pose, *, width: float, height: float, bust: bool) -> Figure:
    w, h = width, height
    pelvis = (WIDTH / 2 + pose.shift, FLOOR - _ANKLE - (_THIGH + _SHIN - 0.8) * h + pose.dip)
    across, down = (cos(pose.lean), sin(pose.lean)), (-sin(pose.lean), cos(pose.lean))
    neck = (pelvis[0] - down[0] * _SPINE * h, pelvis[1] - down[1] * _SPINE * h)
    roll = pose.head_roll + 0.5 * pose.lean
    nape = (neck[0] - down[0] * 5 * h, neck[1] - down[1] * 5 * h)
    head = (nape[0] + sin(roll) * 16 * h + 1.5 * sin(pose.yaw), nape[1] - cos(roll) * 16 * h)
    arms = []
    legs = []
    for side, arm, foot in ((1, pose.left_arm, pose.left_foot), (-1, pose.right_arm, pose.right_foot)):
        arms.append(_arm(side, arm, pose, neck, across, down, w, h))
        legs.append(_leg(side, foot, pose, pelvis, w, h))
    return Figure(
        pose=pose, width=w, height=h, bust=bust, head=head, neck=neck, pelvis=pelvis, across=across, down=down,
        left_arm=arms[0], right_arm=arms[1], left_leg=legs[0], right_leg=legs[1],
    )  # fmt: skip


def _turned(point: Vec3, yaw: float) -> Vec3:
    x, y, z = point
    return x * cos(yaw) + z * sin(yaw), y, z * cos(yaw) - x * sin(yaw)


def _arm(side: int, arm: Arm, pose: Pose, neck: Vec2, across: Vec2, down: Vec2, w: float, h: float) -> Limb:
    x, y, z = _turned((side * (14.6 * w), 5.6 * h - 2.2 * (1 - cos(arm.lift)), 0.0), pose.yaw)
    root = (neck[0] + x * across[0] + y * down[0], neck[1] + x * across[1] + y * down[1], z)
    middle = _along(root, side, arm.lift - side * pose.lean, arm.swing, pose.yaw, _UPPER_ARM * h)
    tip = _along(middle, side, arm.fore_lift - side * pose.lean, arm.fore_swing, pose.yaw, _FOREARM * h)
    return Limb(side=side, root=root, middle=middle, tip=tip)


def _along(start: Vec3, side: int, lift: float, swing: float, yaw: float, length: float) -> Vec3:
    direction = (side * sin(lift) * cos(swing), cos(lift) * cos(swing), sin(swing))
    x, y, z = _turned(direction, yaw)
    return start[0] + x * length, start[1] + y * length, start[2] + z * length


def _leg(side: int, foot: Foot, pose: Pose, pelvis: Vec2, w: float, h: float) -> Limb:
    yaw = pose.yaw
    x, y, z = _turned((side * 8.4 * w, side * 8.4 * w * sin(pose.hip_roll), 0.0), yaw)
    root = (pelvis[0] + x, pelvis[1] + y, z)
    ax, _, az = _turned((side * 9.6 * w, 0.0, 0.0), 0.6 * yaw)  # feet follow a turn reluctantly
    ax, az = ax + foot.reach * sin(yaw), az + foot.reach * cos(yaw)
    tip = (WIDTH / 2 + ax, FLOOR - _ANKLE - foot.rise + 0.13 * az, az)
    return Limb(side=side, root=root, middle=_knee(root, tip, side, yaw, _THIGH * h, _SHIN * h), tip=tip)


def _knee(hip: Vec3, ankle: Vec3, side: int, yaw: float, thigh: float, shin: float) -> Vec3:
    """Two bones between `hip` and `ankle`, the knee forwards and a little outwards. Too long a way stretches them."""
    dx, dy, dz = (b - a for a, b in zip(hip, ankle, strict=True))
    far = sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx / far, dy / far, dz / far
    reach = min(far, 0.999 * (thigh + shin))
    along = (thigh * thigh - shin * shin + reach * reach) / (2 * reach)
    out = sqrt(max(thigh * thigh - along * along, 0.0))
    px, py, pz = _turned((0.3 * side, 0.0, 1.0), yaw)
    dot = px * dx + py * dy + pz * dz
    px, py, pz = px - dot * dx, py - dot * dy, pz - dot * dz
    size = sqrt(px * px + py * py + pz * pz)
    along *= far / reach
    return (
        hip[0] + dx * along + px / size * out,
        hip[1] + dy * along + py / size * out,
        hip[2] + dz * along + pz / size * out,
    )


def length(a: Vec2, b: Vec2) -> float:
    return hypot(b[0] - a[0], b[1] - a[1])
