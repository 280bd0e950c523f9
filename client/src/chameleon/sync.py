"""The same client without `await`: each call runs the asynchronous one on an event loop in one background thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TypeVar

import grpc
from anyio.from_thread import BlockingPortal, start_blocking_portal

from chameleon.client import DEFAULT_TIMEOUT_S, AsyncChameleon
from chameleon.retry import RetryPolicy
from chameleon.session import AsyncSession, AsyncSwitch
from chameleon.types import (
    Capacity,
    Chunk,
    Ended,
    Frame,
    Garment,
    GarmentSource,
    MediaFormat,
    Pacing,
    PictureSource,
    Policy,
    SessionInfo,
    SwitchAccepted,
    SwitchApplied,
)

T = TypeVar("T")


class Switch:
    """See AsyncSwitch."""

    def __init__(self, portal: BlockingPortal, switch: AsyncSwitch) -> None:
        self._portal = portal
        self._switch = switch

    @property
    def event_id(self) -> str:
        return self._switch.event_id

    @property
    def accepted(self) -> SwitchAccepted:
        return self._switch.accepted

    @property
    def settled(self) -> bool:
        return self._switch.settled

    def applied(self) -> SwitchApplied:
        """See AsyncSwitch.applied. Not in the thread that iterates over the session, unless `settled`."""
        return self._portal.call(self._switch.applied)


class Session:
    """See AsyncSession. Iterate from one thread; the other methods may be called from any."""

    def __init__(self, portal: BlockingPortal, session: AsyncSession) -> None:
        self._portal = portal
        self._session = session

    @property
    def name(self) -> str:
        return self._session.name

    @property
    def info(self) -> SessionInfo:
        return self._session.info

    @property
    def affinity(self) -> str | None:
        return self._session.affinity

    @property
    def ended(self) -> Ended | None:
        return self._session.ended

    @property
    def draining_s(self) -> float | None:
        return self._session.draining_s

    def __iter__(self) -> Iterator[Chunk]:
        return _iterate(self._portal, self._session)

    def frames(self) -> Iterator[Frame]:
        return _iterate(self._portal, self._session.frames())

    def fragments(self) -> Iterator[bytes]:
        return _iterate(self._portal, self._session.fragments())

    def switch(
        self,
        garment: GarmentSource,
        *,
        prompt: str = "",
        policy: Policy | None = None,
        not_before_s: float | None = None,
        event_id: str | None = None,
        timeout_s: float | None = None,
    ) -> Switch:
        switch = self._portal.call(
            partial(
                self._session.switch,
                garment,
                prompt=prompt,
                policy=policy,
                not_before_s=not_before_s,
                event_id=event_id,
                timeout_s=timeout_s,
            )
        )
        return Switch(self._portal, switch)

    def pause(self) -> None:
        self._portal.call(self._session.pause)

    def resume(self) -> None:
        self._portal.call(self._session.resume)

    def stop(self) -> None:
        self._portal.call(self._session.stop)


class Chameleon:
    """See AsyncChameleon, whose arguments it takes. Use it as a context manager, and keep it.

    Leaving the block cuts off what still runs on it, a session that was not left included: the service ends that after
    its detach grace.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        tls: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        affinity: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._client = AsyncChameleon(
            address,
            token=token,
            tls=tls,
            credentials=credentials,
            affinity=affinity,
            timeout_s=timeout_s,
            retry=retry,
        )
        self._stack = ExitStack()
        self._open: BlockingPortal | None = None

    def __enter__(self) -> Chameleon:
        with ExitStack() as stack:
            portal = stack.enter_context(_running_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._client))
            self._stack = stack.pop_all()
        self._open = portal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None
        self._stack.__exit__(kind, error, trace)

    @property
    def _portal(self) -> BlockingPortal:
        if self._open is None:
            raise RuntimeError("the client is not open: use it in `with`")
        return self._open

    def open_session(
        self,
        *,
        person: PictureSource,
        garment: GarmentSource,
        prompt: str,
        seed: int = 0,
        format: MediaFormat = MediaFormat.H264,
        jpeg_quality: int = 0,
        pacing: Pacing = Pacing.REALTIME,
        policy: Policy | None = None,
        max_duration_s: float | None = None,
        detach_grace_s: float | None = None,
        timeout_s: float | None = None,
    ) -> AbstractContextManager[Session]:
        opening = self._client.open_session(
            person=person,
            garment=garment,
            prompt=prompt,
            seed=seed,
            format=format,
            jpeg_quality=jpeg_quality,
            pacing=pacing,
            policy=policy,
            max_duration_s=max_duration_s,
            detach_grace_s=detach_grace_s,
            timeout_s=timeout_s,
        )
        return _session(self._portal, self._portal.wrap_async_context_manager(opening))

    def attach_session(self, name: str, *, affinity: str | None = None) -> AbstractContextManager[Session]:
        attaching = self._client.attach_session(name, affinity=affinity)
        return _session(self._portal, self._portal.wrap_async_context_manager(attaching))

    def get_session(self, name: str, *, affinity: str | None = None) -> SessionInfo:
        return self._portal.call(partial(self._client.get_session, name, affinity=affinity))

    def list_sessions(self, *, page_size: int = 0) -> Iterator[SessionInfo]:
        return _iterate(self._portal, self._client.list_sessions(page_size=page_size))

    def delete_session(self, name: str, *, affinity: str | None = None) -> None:
        self._portal.call(partial(self._client.delete_session, name, affinity=affinity))

    def capacity(self, pacing: Pacing = Pacing.REALTIME) -> Capacity:
        return self._portal.call(self._client.capacity, pacing)

    def create_garment(self, picture: PictureSource, *, display_name: str = "") -> Garment:
        return self._portal.call(partial(self._client.create_garment, picture, display_name=display_name))

    def get_garment(self, name: str) -> Garment:
        return self._portal.call(self._client.get_garment, name)

    def list_garments(self, *, page_size: int = 0) -> Iterator[Garment]:
        return _iterate(self._portal, self._client.list_garments(page_size=page_size))

    def delete_garment(self, name: str) -> None:
        self._portal.call(self._client.delete_garment, name)


class _Closed(BaseException):
    pass


@contextmanager
def _running_portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread, stopped on leaving. An open session is a task on it, for which anyio would wait, a
    generator that nobody reads to its end for ever; only behind an exception does it cancel what still runs."""
    with suppress(_Closed), start_blocking_portal("asyncio") as portal:
        yield portal
        raise _Closed


@contextmanager
def _session(portal: BlockingPortal, opening: AbstractContextManager[AsyncSession]) -> Iterator[Session]:
    with opening as session:
        yield Session(portal, session)


def _iterate(portal: BlockingPortal, items: AsyncIterator[T]) -> Iterator[T]:
    async def step() -> tuple[T] | None:  # StopAsyncIteration must not leave the loop's thread
        try:
            return (await items.__anext__(),)
        except StopAsyncIteration:
            return None

    while (item := portal.call(step)) is not None:
        yield item[0]
