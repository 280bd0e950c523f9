"""The same request id again, at every moment of the first call."""

import asyncio

import pytest

from service.core.errors import AlreadyExists
from service.rpc.idempotency import Answers, Key


def key(request_id: str, tenant: str = "t", method: str = "m") -> Key:
    return Key(tenant=tenant, method=method, request_id=request_id)


class Work:
    """Counts its runs; ends when told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        await self.may_end.wait()
        return self.runs


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_calls_beside_the_first_wait_for_its_answer() -> None:
    answers, work = Answers[int](), Work()
    calls = [asyncio.create_task(answers.once(key("a"), b"x", work)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(AlreadyExists):
        await answers.once(key("a"), b"y", work)
    work.may_end.set()
    assert await asyncio.gather(*calls) == [1, 1, 1]
    assert await answers.once(key("a"), b"x", work) == 1
    assert work.runs == 1


async def test_a_first_call_that_is_cancelled_leaves_the_work_to_the_next() -> None:
    answers, work = Answers[int](), Work()
    first, second = (asyncio.create_task(answers.once(key("a"), b"x", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    work.may_end.set()
    assert await second == 2
    assert first.cancelled()


async def test_a_waiter_that_is_cancelled_disturbs_no_one() -> None:
    answers, work = Answers[int](), Work()
    first, second = (asyncio.create_task(answers.once(key("a"), b"x", work)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    work.may_end.set()
    assert await first == 1
    assert work.runs == 1


async def test_a_call_that_fails_is_told_to_those_who_wait_and_forgotten() -> None:
    answers, began = Answers[int](), asyncio.Event()

    async def fail() -> int:
        await began.wait()
        raise ValueError("no")

    async def succeed() -> int:
        return 5

    calls = [asyncio.create_task(answers.once(key("a"), b"x", fail)) for _ in range(2)]
    began.set()
    assert [str(error) for error in await asyncio.gather(*calls, return_exceptions=True)] == ["no", "no"]
    assert await answers.once(key("a"), b"y", succeed) == 5


async def test_answers_are_kept_for_a_while_and_not_without_bound() -> None:
    clock, runs = Clock(), 0

    async def count() -> int:
        nonlocal runs
        runs += 1
        return runs

    answers = Answers[int](max_entries=2, kept_s=10.0, clock=clock)
    assert [await answers.once(key(name), b"x", count) for name in "aabbcc"] == [1, 1, 2, 2, 3, 3]
    assert await answers.once(key("a"), b"y", count) == 4, "the oldest went first"
    clock.now_s = 10.0
    assert await answers.once(key("c"), b"y", count) == 5


async def test_tenants_and_methods_have_ids_of_their_own() -> None:
    async def answer() -> str:
        return "new"

    answers = Answers[str]()
    for one in (key("a"), key("a", tenant="u"), key("a", method="n")):
        assert await answers.once(one, one.tenant.encode() + one.method.encode(), answer) == "new"
