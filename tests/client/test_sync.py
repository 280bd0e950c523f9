"""The client without `await`: the same sessions, from a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from chameleon import AsyncChameleon, Chameleon, EndReason, SessionState
from chameleon.errors import GarmentNotFound, SessionNotFound, SwitchRejected
from service.app import App
from service.rpc.limits import DEFAULT_DETACH_GRACE_S
from tests.client.conftest import BLOCKS, FAST, png, wanted
from tests.service.runtime.conftest import until

T = TypeVar("T")


async def beside(app: App, work: Callable[[Chameleon], T]) -> T:
    """The service keeps this event loop; the client's caller has a thread."""

    def connected() -> T:
        with Chameleon(app.grpc_address, retry=FAST) as chameleon:
            return work(chameleon)

    return await asyncio.to_thread(connected)


async def test_a_session_is_read_switched_and_ended(app: App) -> None:
    def work(chameleon: Chameleon) -> None:
        coat = chameleon.create_garment(png(99))
        with chameleon.open_session(**wanted(max_duration_s=8.0)) as session:
            chunks = iter(session)
            first = next(chunks)
            switch = session.switch(coat)
            rest = list(chunks)
        assert [chunk.sequence for chunk in [first, *rest]] == list(range(len(rest) + 1))
        applied = switch.applied()
        assert switch.settled
        assert switch.event_id == switch.accepted.event_id == applied.event_id
        assert [a for chunk in rest for a in chunk.applied] == [applied]
        assert session.ended is not None
        assert session.ended.reason is EndReason.COMPLETED
        assert session.draining_s is None
        assert session.info.name == session.name

    await beside(app, work)


async def test_frames_and_fragments_iterate(app: App) -> None:
    def work(chameleon: Chameleon) -> None:
        with chameleon.open_session(**wanted(max_duration_s=2.0)) as session:
            numbers = [frame.number for frame in session.frames()]
        assert numbers == list(range(len(numbers)))
        with chameleon.open_session(**wanted(max_duration_s=2.0)) as session:
            assert b"".join(session.fragments())

    await beside(app, work)


async def test_leaving_the_block_early_ends_the_session_and_its_switches(app: App) -> None:
    def work(chameleon: Chameleon) -> None:
        with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
            next(iter(session))
            session.pause()
            session.resume()
            switch = session.switch(png(99), not_before_s=50.0)
        assert chameleon.get_session(session.name).state is SessionState.ENDED
        with pytest.raises(SwitchRejected):
            switch.applied()

    await beside(app, work)


async def test_the_client_can_be_left_before_its_session(app: App) -> None:
    """As a generator that holds the session does, if nobody reads it to its end."""

    def work() -> None:
        with Chameleon(app.grpc_address, retry=FAST) as chameleon:
            opening = chameleon.open_session(**wanted(max_duration_s=60.0))
            session = opening.__enter__()
            next(iter(session))
        with pytest.raises(RuntimeError):
            next(iter(session))
        with pytest.raises(RuntimeError):
            opening.__exit__(None, None, None)
        left.append(session.name)

    left: list[str] = []
    thread = threading.Thread(target=work, daemon=True)  # a thread that hangs must not hold the tests up
    thread.start()
    await until(lambda: not thread.is_alive())
    await asyncio.sleep(2 * DEFAULT_DETACH_GRACE_S)
    async with AsyncChameleon(app.grpc_address) as chameleon:
        assert (await chameleon.get_session(left[0])).end_reason is EndReason.ABANDONED


async def test_a_session_is_attached_to_and_stopped(app: App) -> None:
    def work(chameleon: Chameleon) -> None:
        with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
            first = next(iter(session))
            with chameleon.attach_session(session.name) as second:
                assert next(iter(second)) == first
                second.stop()
                list(second)
            assert second.ended is not None
            assert second.ended.reason is EndReason.STOPPED

    await beside(app, work)


async def test_garments_sessions_and_capacity_are_asked_for(app: App) -> None:
    def work(chameleon: Chameleon) -> None:
        coat = chameleon.create_garment(png(1), display_name="coat")
        assert list(chameleon.list_garments()) == [chameleon.get_garment(coat.name)]
        chameleon.delete_garment(coat.name)
        with pytest.raises(GarmentNotFound):
            chameleon.get_garment(coat.name)
        with chameleon.open_session(**wanted()) as session:
            assert [found.name for found in chameleon.list_sessions()] == [session.name]
            chameleon.delete_session(session.name)
        with pytest.raises(SessionNotFound):
            chameleon.delete_session("sessions/" + "0" * 32)
        assert chameleon.capacity().slots == BLOCKS

    await beside(app, work)


async def test_an_error_in_the_block_comes_out(app: App) -> None:
    def work(chameleon: Chameleon) -> None:
        with chameleon.open_session(**wanted()):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await beside(app, work)


def test_a_client_must_be_open() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        Chameleon("127.0.0.1:1").capacity()
