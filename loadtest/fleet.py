"""The worker processes of a run: started, set off together, listened to, stopped."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType

from loadtest.messages import Crashed, Done, Go, Job, Ready, Report, Stop
from loadtest.plan import Seat
from loadtest.target import TargetError
from loadtest.worker import work

START_S = 60.0
HEAD_START_S = 0.3
"""Between `Go` and second 0, for the word to reach every worker."""
_POLL_S = 0.1
_STOP_S = 20.0


class Fleet:
    """A context manager: leaving it ends every worker."""

    def __init__(self, make_job: Callable[[int, tuple[Seat, ...]], Job], shares: Sequence[tuple[Seat, ...]]) -> None:
        # Not fork: gRPC does not survive it.
        context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, tuple[int, BaseProcess]] = {}
        self._told: set[int] = set()
        """Workers that are done, or said why not."""
        self.faults: list[str] = []
        for number, seats in enumerate(shares):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, make_job(number, seats)), name=f"worker {number}")
            process.start()
            theirs.close()
            self._workers[ours] = number, process

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline_s = time.monotonic() + (_STOP_S if kind is None else 0.0)
        for pipe, (_, process) in self._workers.items():
            process.join(max(0.0, deadline_s - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()

    def set_off(self) -> float:
        """Wait until all have connected, then begin. Second 0, by time.monotonic().

        Raises:
            TargetError: a worker could not connect or did not start.
        """
        waiting = {number for number, _ in self._workers.values()}
        deadline_s = time.monotonic() + START_S
        while waiting:
            for report in self.hear():
                if isinstance(report, Ready):
                    waiting.discard(report.worker)
                elif isinstance(report, Crashed):
                    raise TargetError(f"worker {report.worker} could not begin:\n{report.trace.strip()}")
            if self.faults:
                raise TargetError("; ".join(self.faults))
            if time.monotonic() > deadline_s:
                raise TargetError(f"workers {sorted(waiting)} did not begin within {START_S:g} s")
        origin_s = time.monotonic() + HEAD_START_S
        self._tell(Go(at_s=origin_s))
        return origin_s

    def stop(self) -> None:
        """Have all sessions cut short. Reports go on until the workers are done."""
        self._tell(Stop())

    @property
    def busy(self) -> bool:
        return len(self._told) < len(self._workers)

    def hear(self) -> Iterator[Report]:
        """What was told within a moment. A worker that dies without a word is a fault."""
        open_pipes = [pipe for pipe, (number, _) in self._workers.items() if number not in self._told]
        for pipe in wait(open_pipes, _POLL_S):
            assert isinstance(pipe, Connection)
            number, process = self._workers[pipe]
            try:
                while number not in self._told and pipe.poll():
                    report: Report = pipe.recv()
                    if isinstance(report, Done | Crashed):
                        self._told.add(number)
                    if isinstance(report, Crashed):
                        self.faults.append(f"worker {number} failed: {report.trace.strip().splitlines()[-1]}")
                    yield report
            except (EOFError, ConnectionError):
                process.join()
                self._told.add(number)
                self.faults.append(f"worker {number} died (exit status {process.exitcode})")

    def _tell(self, message: Go | Stop) -> None:
        for pipe, (number, _) in self._workers.items():
            if number not in self._told:
                try:
                    pipe.send(message)
                except OSError:  # it died; `hear` says so
                    continue


def shared_out(seats: Sequence[Seat], workers: int) -> list[tuple[Seat, ...]]:
    """Seats by worker. Kinds do not share one where there are enough: readers that let data lie would hold up the
    connection of others."""
    kinds: dict[str, list[Seat]] = {}
    for seat in seats:
        kinds.setdefault(seat[0].kind, []).append(seat)
    if len(kinds) > workers:
        return [tuple(seats[number::workers]) for number in range(workers)]
    spare = workers - len(kinds)
    by_size = sorted(kinds.values(), key=len, reverse=True)
    shares: list[tuple[Seat, ...]] = []
    for place, members in enumerate(by_size):
        parts = 1 + spare // len(by_size) + (place < spare % len(by_size))
        shares += [tuple(members[number::parts]) for number in range(parts) if members[number::parts]]
    return shares
