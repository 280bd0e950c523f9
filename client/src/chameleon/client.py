"""The client: one channel, and what a backend does with it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

import grpc
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2, media_pb2

from chameleon import convert
from chameleon.affinity import Affinity
from chameleon.retry import RetryPolicy
from chameleon.session import AsyncSession
from chameleon.transport import MAX_MESSAGE_BYTES, Transport
from chameleon.types import (
    Capacity,
    Garment,
    GarmentSource,
    MediaFormat,
    Pacing,
    PictureSource,
    Policy,
    SessionInfo,
)

DEFAULT_TIMEOUT_S = 30.0


class AsyncChameleon:
    """A client of one service. Use it as an asynchronous context manager, and keep it: it holds one channel.

    Args:
        address: `host:port`.
        token: sent as `authorization: Bearer <token>`.
        tls: use TLS with the system's certificates.
        credentials: use TLS with these.
        timeout_s: for each call but streams, its retries included.
        retry: how calls that may be repeated are, and streams that break.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        tls: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.address = address
        self._token = token
        self._credentials = grpc.ssl_channel_credentials() if tls and credentials is None else credentials
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._open: Transport | None = None
        self._affinity = Affinity()
        """Of what is known by name alone: garments, and sessions that others opened."""

    async def __aenter__(self) -> AsyncChameleon:
        if self._open is not None:
            raise RuntimeError("the client is open already")
        self._open = Transport(
            self.address,
            token=self._token,
            credentials=self._credentials,
            timeout_s=self._timeout_s,
            retry=self._retry,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport, self._open = self._transport, None
        await transport.close()

    @property
    def _transport(self) -> Transport:
        if self._open is None:
            raise RuntimeError("the client is not open: use it in `with` or `async with`")
        return self._open

    # Sessions

    @asynccontextmanager
    async def open_session(
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
    ) -> AsyncIterator[AsyncSession]:
        """Open a session and attach to it; leaving the block ends it.

        Args:
            prompt: what the person does; it does not describe the garment.
            seed: 0 lets the service choose; `session.info.seed` says which.
            jpeg_quality: 1 to 100; 0: the service's.
            max_duration_s: the session ends after this much video; None: the service's limit.
            detach_grace_s: how long the session outlives a broken stream; None: the service's, about a second.
            timeout_s: for the opening, its retries included; None: the client's.

        Raises:
            CapacityReached, InvalidArgument, ...: see `errors`.
            OSError: a picture's file cannot be read.
        """
        request = pb.CreateSessionRequest(
            request_id=str(uuid.uuid4()),
            person=await convert.picture(person),
            garment=await convert.garment_source(garment),
            prompt=prompt,
            seed=seed,
            output=pb.Output(format=media_pb2.MediaFormat.Name(format), jpeg_quality=jpeg_quality),
            pacing=pb.PacingMode.Name(pacing),
            policy=pb.ReschedulingPolicy.Name(policy or 0),
            max_duration=None if max_duration_s is None else convert.duration(max_duration_s),
            detach_grace=None if detach_grace_s is None else convert.duration(detach_grace_s),
        )
        if request.ByteSize() > MAX_MESSAGE_BYTES and not isinstance(garment, Garment | str):
            uploaded = await self.create_garment(garment)  # two large pictures do not fit into one message
            request.garment.CopyFrom(pb.GarmentSource(garment=uploaded.name))
        # A garment's name is known to the server that has the garment; a picture is welcome anywhere.
        affinity = Affinity(self._affinity.value if request.garment.garment else None)
        transport = self._transport
        response: pb.CreateSessionResponse = await transport.call(
            transport.customization.CreateSession, request, affinity=affinity, timeout_s=timeout_s
        )
        info = convert.session_info(response.session)
        async with AsyncSession(transport, info, affinity, ends_on_exit=True) as session:
            yield session

    @asynccontextmanager
    async def attach_session(self, name: str, *, affinity: str | None = None) -> AsyncIterator[AsyncSession]:
        """Attach to a session that runs, from the oldest chunk the service still holds; leaving the block leaves the
        session running. Whoever read it before is cut off with StreamTakenOver.

        Args:
            name: `sessions/{session}`.
            affinity: behind a gateway, `session.affinity` of whoever opened it.
        """
        place = Affinity(affinity or self._affinity.value)
        response: pb.GetSessionResponse = await self._transport.call(
            self._transport.customization.GetSession, pb.GetSessionRequest(name=name), affinity=place
        )
        info = convert.session_info(response.session)
        async with AsyncSession(self._transport, info, place, ends_on_exit=False) as session:
            yield session

    async def get_session(self, name: str) -> SessionInfo:
        """SessionNotFound if there is none of that name."""
        response: pb.GetSessionResponse = await self._transport.call(
            self._transport.customization.GetSession, pb.GetSessionRequest(name=name), affinity=self._affinity
        )
        return convert.session_info(response.session)

    async def list_sessions(self, *, page_size: int = 0) -> AsyncIterator[SessionInfo]:
        """The caller's sessions, newest first; pages are fetched as needed."""
        token = ""
        while True:
            response: pb.ListSessionsResponse = await self._transport.call(
                self._transport.customization.ListSessions,
                pb.ListSessionsRequest(page_size=page_size, page_token=token),
            )
            for session in response.sessions:
                yield convert.session_info(session)
            if not (token := response.next_page_token):
                return

    async def delete_session(self, name: str) -> None:
        """End a session; one that has ended is no error."""
        await self._transport.call(
            self._transport.customization.DeleteSession,
            pb.DeleteSessionRequest(name=name),
            affinity=self._affinity,
            gone_is_done=True,
        )

    async def capacity(self, pacing: Pacing = Pacing.REALTIME) -> Capacity:
        """How many more sessions of this kind could open now."""
        request = pb.GetCapacityRequest(pacing=pb.PacingMode.Name(pacing))
        response: pb.GetCapacityResponse = await self._transport.call(
            self._transport.customization.GetCapacity, request
        )
        return convert.capacity(response)

    # Garments

    async def create_garment(self, picture: PictureSource, *, display_name: str = "") -> Garment:
        """Upload a garment; returns once it is encoded. The same picture gives the same garment."""
        request = garment_service_pb2.CreateGarmentRequest(
            picture=await convert.picture(picture), display_name=display_name, request_id=str(uuid.uuid4())
        )
        response: garment_service_pb2.CreateGarmentResponse = await self._transport.call(
            self._transport.garments.CreateGarment, request, affinity=self._affinity
        )
        return convert.garment(response.garment)

    async def get_garment(self, name: str) -> Garment:
        """GarmentNotFound if there is none of that name."""
        response: garment_service_pb2.GetGarmentResponse = await self._transport.call(
            self._transport.garments.GetGarment,
            garment_service_pb2.GetGarmentRequest(name=name),
            affinity=self._affinity,
        )
        return convert.garment(response.garment)

    async def list_garments(self, *, page_size: int = 0) -> AsyncIterator[Garment]:
        """The caller's garments, newest first; pages are fetched as needed."""
        token = ""
        while True:
            response: garment_service_pb2.ListGarmentsResponse = await self._transport.call(
                self._transport.garments.ListGarments,
                garment_service_pb2.ListGarmentsRequest(page_size=page_size, page_token=token),
                affinity=self._affinity,
            )
            for garment in response.garments:
                yield convert.garment(garment)
            if not (token := response.next_page_token):
                return

    async def delete_garment(self, name: str) -> None:
        """Forget a garment; sessions that wear it go on."""
        await self._transport.call(
            self._transport.garments.DeleteGarment,
            garment_service_pb2.DeleteGarmentRequest(name=name),
            affinity=self._affinity,
            gone_is_done=True,
        )
