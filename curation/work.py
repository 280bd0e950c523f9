"""Many clips at the same time, a bounded number of them; models that fail leave their clip for the next run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from curation.roles import ModelTrouble

Item = TypeVar("Item")


class GivenUp(Exception):
    """Models failed for too many clips in a row: going on would only fail for the rest."""


def each(
    title: str,
    items: Sequence[Item],
    do: Callable[[Item], None],
    *,
    workers: int,
    give_up_after: int,
    console: Console,
) -> list[str]:
    """Do every item, and say for which ones a model failed and how.

    Raises:
        GivenUp: `give_up_after` items failed one after the other.
    """
    troubles: list[str] = []
    in_a_row = 0
    with (
        _progress(console) as progress,
        ThreadPoolExecutor(workers, thread_name_prefix="curation") as pool,
    ):
        bar = progress.add_task(title, total=len(items))
        futures: dict[Future[None], Item] = {pool.submit(do, item): item for item in items}
        try:
            for future in as_completed(futures):
                try:
                    future.result()
                    in_a_row = 0
                except ModelTrouble as trouble:
                    in_a_row += 1
                    troubles.append(f"{title}: {trouble}")
                    if in_a_row == give_up_after:
                        raise GivenUp(f"{title}: {in_a_row} failures in a row, the last one: {trouble}") from trouble
                progress.advance(bar)
        except BaseException:
            # What has begun ends by itself: every model has a timeout, and its decision is worth keeping.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return troubles


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
