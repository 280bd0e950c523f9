"""Thread pools whose threads all run from the start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def started_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """No first picture waits for a thread, and what the process holds does not grow with the first crowd."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    together = Barrier(threads)
    for waiting in [pool.submit(together.wait) for _ in range(threads)]:
        waiting.result()
    return pool
