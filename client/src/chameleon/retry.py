"""When a failed call may be made again, and after how long. Pure: randomness is an argument."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from chameleon.errors import ChameleonError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter: attempt n waits between 0 and min(max_s, initial_s * 2**n).

    A call's `timeout_s` bounds its attempts and waits together. Where the service asks for a wait longer than `max_s`,
    the error is raised at once: to wait so long is the caller's decision.
    """

    attempts: int = 5
    initial_s: float = 0.1
    max_s: float = 5.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.initial_s < 0 or self.max_s < 0:
            raise ValueError(f"a retry policy needs at least one attempt and no negative times, got {self}")


def may_retry(error: ChameleonError) -> bool:
    """UNAVAILABLE did nothing or was lost on the way; RESOURCE_EXHAUSTED only if the service says when to come again.

    Everything the SDK sends may be sent twice: reads as such, the rest because it carries a request id.
    """
    if error.code is grpc.StatusCode.UNAVAILABLE:
        return True
    return error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after_s is not None


class Backoff:
    """Counts the failures in a row."""

    def __init__(self, policy: RetryPolicy, *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._policy = policy
        self._uniform = uniform
        self.failures = 0

    def succeeded(self) -> None:
        self.failures = 0

    def delay_s(self, error: ChameleonError, *, remaining_s: float | None = None) -> float | None:
        """Note a failure. Seconds to wait before the next attempt, or None: give up.

        Args:
            remaining_s: until the call's deadline; a wait beyond it is in vain.
        """
        self.failures += 1
        if self.failures >= self._policy.attempts or not may_retry(error):
            return None
        asked_s = error.retry_after_s or 0.0
        if asked_s > self._policy.max_s:
            return None
        jitter_s = self._uniform(0.0, min(self._policy.max_s, self._policy.initial_s * 2 ** (self.failures - 1)))
        delay_s = asked_s + jitter_s  # on top, so that not all come back at once
        return None if remaining_s is not None and delay_s >= remaining_s else delay_s
