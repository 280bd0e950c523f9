"""A worker: one process, one event loop, one connection a tenant, many sessions. It also measures its own lateness."""

from __future__ import annotations

import asyncio
import gc
import queue
import signal
import threading
import time
import traceback
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection

from chameleon import AsyncChameleon
from loadtest.histogram import Values
from loadtest.messages import Crashed, Done, Ended, Go, Job, Ready, Report, Stop, Tick
from loadtest.plan import Seat
from loadtest.session import SessionDriver

TICK_S = 0.5
LAG_SAMPLE_S = 0.02
_FAREWELL_S = 8.0
"""For sessions that are cut short to be ended."""


def work(pipe: Connection, job: Job) -> None:
    """The process's main function. What goes wrong with the worker itself is told before it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when to stop
    outbox = _Outbox(pipe)
    try:
        asyncio.run(Worker(pipe, outbox, job).run())
    except BaseException:
        outbox.put(Crashed(worker=job.worker, trace=traceback.format_exc()))
        raise
    finally:
        outbox.close()


class Worker:
    """Runs its seats from `Go` on, until all are through, `until_s` has come, or `Stop` was said."""

    def __init__(self, pipe: Connection, outbox: _Outbox, job: Job) -> None:
        self._pipe = pipe
        self._outbox = outbox
        self._job = job
        self._origin_s = 0.0
        self._inbox: asyncio.Queue[Go | Stop] = asyncio.Queue()
        self._clients: dict[str, AsyncChameleon] = {}
        self._begun = self._open = self._chunks = 0
        self._lag = Values()
        self._worst_lag_s = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe.fileno(), self._hear)
        async with AsyncExitStack() as stack:
            stack.callback(loop.remove_reader, self._pipe.fileno())
            for tenant, token in self._job.tokens.items():
                self._clients[tenant] = await stack.enter_async_context(self._job.target.client(token))
            await self._connect()
            self._outbox.put(Ready(worker=self._job.worker))
            if not isinstance(go := await self._inbox.get(), Go):
                return
            self._origin_s = go.at_s
            gc.collect()
            gc.freeze()  # what was imported is not looked through again while latencies are taken
            await self._serve()

    async def _connect(self) -> None:
        """The first session of a run does not pay for the connection."""
        await asyncio.gather(*(client.capacity() for client in self._clients.values()))

    def _now(self) -> float:
        return time.monotonic() - self._origin_s

    def _hear(self) -> None:
        try:
            self._inbox.put_nowait(self._pipe.recv())
        except EOFError:  # the run is gone: so is the reason to go on
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._inbox.put_nowait(Stop())

    async def _serve(self) -> None:
        cpu_s, wall_s = time.process_time(), time.monotonic()
        sampling = asyncio.create_task(self._sample())
        seats = asyncio.create_task(self._take_seats())
        stopping = asyncio.create_task(self._inbox.get())
        await asyncio.wait((seats, stopping), timeout=self._left_s(), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not seats.done():
            seats.cancel()
            await asyncio.wait((seats,), timeout=_FAREWELL_S)
        sampling.cancel()
        if seats.done() and not seats.cancelled():
            seats.result()
        self._tick()
        done = Done(
            worker=self._job.worker,
            lag=self._lag.encoded(),
            cpu_s=time.process_time() - cpu_s,
            wall_s=time.monotonic() - wall_s,
        )
        self._outbox.put(done)

    def _left_s(self) -> float:
        return max(0.0, self._job.until_s - self._now())

    async def _take_seats(self) -> None:
        """Each seat at its time, whatever became of those before."""
        async with asyncio.TaskGroup() as group:
            for seat in self._job.seats:
                await asyncio.sleep(max(0.0, seat[0].due_s - self._now()))
                group.create_task(self._seat(seat))

    async def _seat(self, seat: Seat) -> None:
        due_s = seat[0].due_s
        for number, plan in enumerate(seat):
            if number:
                due_s = self._now()
                if due_s >= self._job.close_seats_s:
                    return
            self._begun += 1
            driver = SessionDriver(
                plan,
                due_s=due_s,
                client=self._clients[plan.tenant],
                supplies=self._job.supplies,
                patience=self._job.patience,
                now=self._now,
                on_opened=self._opened,
                on_chunk=self._chunk,
            )
            record = await driver.run(worker=self._job.worker)
            self._open -= record.opened_s is not None
            self._outbox.put(Ended(record=record))

    def _opened(self) -> None:
        self._open += 1

    def _chunk(self) -> None:
        self._chunks += 1

    async def _sample(self) -> None:
        """How late the loop runs what is due: nothing it stamps is truer than that."""
        ticked_s = self._now()
        while True:
            due_s = self._now() + LAG_SAMPLE_S
            await asyncio.sleep(LAG_SAMPLE_S)  # its lateness is what is measured
            lag_s = max(0.0, self._now() - due_s)
            if due_s >= 0:
                self._lag.add_lag(lag_s, LAG_SAMPLE_S)
                self._worst_lag_s = max(self._worst_lag_s, lag_s)
            if self._now() - ticked_s >= TICK_S:
                ticked_s = self._now()
                self._tick()

    def _tick(self) -> None:
        tick = Tick(
            worker=self._job.worker,
            at_s=round(self._now(), 3),
            begun=self._begun,
            open=self._open,
            chunks=self._chunks,
            lag_s=self._worst_lag_s,
        )
        self._worst_lag_s = 0.0
        self._outbox.put(tick)


class _Outbox:
    """Sends from a thread of its own: a run that is slow to listen does not hold up the event loop."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._reports: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, name="outbox")
        self._thread.start()

    def put(self, report: Report) -> None:
        self._reports.put(report)

    def close(self) -> None:
        """Returns once all is sent."""
        self._reports.put(None)
        self._thread.join()

    def _send(self) -> None:
        while (report := self._reports.get()) is not None:
            try:
                self._pipe.send(report)
            except OSError:  # the run is gone
                return
