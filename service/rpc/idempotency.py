"""The same request id again gives the same answer."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.core.errors import AlreadyExists

T = TypeVar("T")

MAX_ENTRIES = 10_000
KEPT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    tenant: str
    method: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry(Generic[T]):
    content: bytes
    answer: asyncio.Future[T]
    expires_s: float


class Answers(Generic[T]):
    """Answers given, by key; the oldest go first, and each after `kept_s`. A call that fails is not remembered.

    Bounded by `max_entries` and what is in flight: a call under way is never forgotten.
    """

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        kept_s: float = KEPT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = max_entries
        self._kept_s = kept_s
        self._clock = clock
        self._entries: OrderedDict[Key, _Entry[T]] = OrderedDict()

    async def once(self, key: Key, content: bytes, work: Callable[[], Awaitable[T]]) -> T:
        """The answer of `work`, which runs once for a key: others wait for it, and take it over if it is cancelled.

        Args:
            content: digest of the request.

        Raises:
            AlreadyExists: REQUEST_ID_REUSED, the key came with other content.
        """
        while (entry := self._find(key)) is not None:
            if entry.content != content:
                raise AlreadyExists("REQUEST_ID_REUSED", f"request id {key.request_id} came with other content before")
            await asyncio.wait((entry.answer,))
            if not entry.answer.cancelled():
                return entry.answer.result()
        return await self._first(key, content, work)

    async def _first(self, key: Key, content: bytes, work: Callable[[], Awaitable[T]]) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._entries[key] = _Entry(content=content, answer=answer, expires_s=self._clock() + self._kept_s)
        try:
            result = await work()
        except BaseException as error:
            del self._entries[key]
            if isinstance(error, Exception):
                answer.set_exception(error)
                answer.exception()  # those who wait are told; if there are none, that is no fault
            else:
                answer.cancel()
            raise
        answer.set_result(result)
        return result

    def _find(self, key: Key) -> _Entry[T] | None:
        now = self._clock()
        over: list[Key] = []
        for oldest, entry in self._entries.items():
            if entry.expires_s > now and len(self._entries) - len(over) <= self._max_entries:
                break
            if entry.answer.done():
                over.append(oldest)
        for oldest in over:
            del self._entries[oldest]
        return self._entries.get(key)
