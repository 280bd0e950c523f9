"""When a call is made again."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chameleon.errors import ChameleonError
from chameleon.retry import Backoff, RetryPolicy, may_retry

SAFE = {grpc.StatusCode.UNAVAILABLE}


def error(code: grpc.StatusCode, retry_after_s: float | None = None) -> ChameleonError:
    return ChameleonError("no", code=code, retry_after_s=retry_after_s)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_without_a_word_of_the_service_only_unavailable_is_retried(code: grpc.StatusCode) -> None:
    assert may_retry(error(code)) == (code in SAFE)


def test_exhausted_is_retried_if_the_service_says_when() -> None:
    assert may_retry(error(grpc.StatusCode.RESOURCE_EXHAUSTED, 1.0))


@given(failures=st.integers(1, 20), share=st.floats(0, 1), asked_s=st.none() | st.floats(0, 5))
def test_waits_grow_to_their_limit_and_never_fall_short_of_what_the_service_asked(
    failures: int, share: float, asked_s: float | None
) -> None:
    backoff = Backoff(RetryPolicy(attempts=100), uniform=lambda low, high: low + share * (high - low))
    delay_s = None
    for _ in range(failures):
        delay_s = backoff.delay_s(error(grpc.StatusCode.UNAVAILABLE, asked_s))
    assert delay_s is not None
    assert delay_s - (asked_s or 0.0) == pytest.approx(share * min(5.0, 0.1 * 2 ** (failures - 1)), abs=1e-9)


def test_gives_up_after_the_attempts_unless_one_succeeds_between() -> None:
    backoff = Backoff(RetryPolicy(attempts=2))
    unavailable = error(grpc.StatusCode.UNAVAILABLE)
    assert backoff.delay_s(unavailable) is not None
    backoff.succeeded()
    assert backoff.delay_s(unavailable) is not None
    assert backoff.delay_s(unavailable) is None


def test_does_not_wait_beyond_the_deadline_nor_longer_than_the_policy_allows() -> None:
    policy = RetryPolicy(max_s=5.0)
    assert Backoff(policy).delay_s(error(grpc.StatusCode.UNAVAILABLE, 3.0), remaining_s=2.0) is None
    assert Backoff(policy).delay_s(error(grpc.StatusCode.RESOURCE_EXHAUSTED, 6.0)) is None


def test_a_policy_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        RetryPolicy(attempts=0)
