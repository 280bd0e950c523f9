"""What a test needs of the machine. Missing, the test is skipped and says so; where all must run, it fails."""

from __future__ import annotations

import os

import pytest

SWITCHES = ("CI", "CHAMELEON_STRICT")
"""Environment variables; either of them `1` or `true`: nothing may be skipped. `make k8s` sets the second."""


def strict() -> bool:
    return any(os.environ.get(name, "").lower() in {"1", "true"} for name in SWITCHES)


def require(there: bool, what: str) -> None:
    """Ends the test that asks, unless it is there."""
    if not there:
        (pytest.fail if strict() else pytest.skip)(f"needs {what}")
