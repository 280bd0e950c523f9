"""Training and evaluation: disjoint by construction, because a key's split is a function of the key."""

from enum import StrEnum
from hashlib import blake2b

_SHARES = 8
_SALT = bytes([22])
"""With it every action has two or three motions held out, in every tempo and amplitude."""


class Split(StrEnum):
    """Where a person, a garment or a motion may occur. One key in eight is held out."""

    TRAIN = "train"
    EVALUATION = "evaluation"


def split_of(key: tuple[str, ...]) -> Split:
    """The one split in which `key` occurs, the same on every machine."""
    digest = blake2b("/".join(key).encode(), digest_size=8, salt=_SALT).digest()
    return Split.EVALUATION if int.from_bytes(digest) % _SHARES == 0 else Split.TRAIN
