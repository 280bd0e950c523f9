"""What may travel in a header of a call."""

from __future__ import annotations


def checked(what: str, value: str) -> str:
    """`value`; ValueError where gRPC would refuse the call without a word on why. The value is not told: it may be a
    secret."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"{what} must be printable ASCII")
    return value
