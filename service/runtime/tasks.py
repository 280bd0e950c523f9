"""Work in the background: nothing that goes wrong in it goes unheard."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


def incident(error: BaseException, where: str) -> str:
    """Log a fault of ours with its traceback. What callers may be told of it: where to look in the log."""
    number = uuid.uuid4().hex
    log.error("incident %s in %s", number, where, exc_info=error)
    return f"internal error, incident {number}"


class Tasks:
    """Tasks of one event loop. An exception that one ends with is a fault of ours: it is logged as an incident."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(
        self, work: Coroutine[Any, Any, None], name: str, on_fault: Callable[[str], None] = lambda _message: None
    ) -> None:
        """
        Args:
            on_fault: told what callers may be told, if the work ends with an exception.
        """
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, on_fault))

    async def finish(self) -> None:
        """Wait for all, and for those that they spawn."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _done(self, task: asyncio.Task[None], on_fault: Callable[[str], None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            on_fault(incident(error, task.get_name()))
