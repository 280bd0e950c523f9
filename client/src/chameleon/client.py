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
from chameleon.header import checked
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
        affinity: behind a gateway, the server to ask about what has a name, and to open sessions on: the `affinity` of
            a garment, of a session, or of its info. None: the server of the first garment that is asked about; until
            there is one, sessions open on any.
        timeout_s: for each call but streams, its retries included.
        retry: how calls that may be repeated are, and streams that break.

    Raises:
        ValueError: a token or an affinity that is not printable ASCII.
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
        self.address = address
        self._token = checked("a token", token) if token else None
        self._credentials = grpc.ssl_channel_credentials() if tls and credentials is None else credentials
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._open: Transport | None = None
        self._garments = Affinity(affinity)
        """Where the garments are, and so the sessions: any switch may name one."""
        self._looked_up = Affinity()
        """Where sessions are looked up as long as no garment is known: it says nothing of where others should open."""

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
        """Open a session and attach to it; leaving the block ends it, unless another reader was seen to take it over.

        Args:
            prompt: what the person does; it does not describe the garment.
            seed: 0 lets the service choose; `session.info.seed` says which.
            jpeg_quality: 1 to 100; 0: the service's.
            max_duration_s: the session ends with the chunk that completes this much video; None: an hour.
            detach_grace_s: how long the session outlives a broken stream; None: the service's, about a second.
            timeout_s: for the opening, its retries included; None: the client's.

        Raises:
            CapacityReached, InvalidArgument, ...: see `errors`.
            OSError: a picture's file cannot be read.
        """
        request = pb.CreateSessionRequest(
            request_id=str(uuid.uuid4()),
            person=await convert.picture(person, "person"),
            garment=await convert.garment_source(garment, "garment"),
            prompt=prompt,
            seed=seed,
            output=pb.Output(format=media_pb2.MediaFormat.Name(format), jpeg_quality=jpeg_quality),
            pacing=pb.PacingMode.Name(pacing),
            policy=pb.ReschedulingPolicy.Name(policy or 0),
            max_duration=None if max_duration_s is None else convert.duration(max_duration_s),
            detach_grace=None if detach_grace_s is None else convert.duration(detach_grace_s),
        )
        told = garment.affinity if isinstance(garment, Garment) else None
        place = Affinity(told or self._garments.value)
        if request.ByteSize() > MAX_MESSAGE_BYTES and not isinstance(garment, Garment | str):
            uploaded = await self._create_garment(garment, place)  # two large pictures do not fit into one message
            request.garment.CopyFrom(pb.GarmentSource(garment=uploaded.name))
        transport = self._transport
        response: pb.CreateSessionResponse = await transport.call(
            transport.customization.CreateSession, request, affinity=place, timeout_s=timeout_s
        )
        info = convert.session_info(response.session, place.value)
        async with AsyncSession(transport, info, place, ends_on_exit=True) as session:
            yield session

    @asynccontextmanager
    async def attach_session(self, name: str, *, affinity: str | None = None) -> AsyncIterator[AsyncSession]:
        """Attach to a session that runs, from the oldest chunk the service still holds; leaving the block leaves the
        session running. Whoever read it before is cut off with StreamTakenOver.

        Args:
            name: `sessions/{session}`.
            affinity: behind a gateway, `session.affinity` of whoever opened it; None: the client's.
        """
        place = Affinity(self._place(affinity).value)
        response: pb.GetSessionResponse = await self._transport.call(
            self._transport.customization.GetSession, pb.GetSessionRequest(name=name), affinity=place
        )
        info = convert.session_info(response.session, place.value)
        async with AsyncSession(self._transport, info, place, ends_on_exit=False) as session:
            yield session

    async def get_session(self, name: str, *, affinity: str | None = None) -> SessionInfo:
        """SessionNotFound if there is none of that name. `affinity` as for `attach_session`."""
        place = self._place(affinity)
        response: pb.GetSessionResponse = await self._transport.call(
            self._transport.customization.GetSession, pb.GetSessionRequest(name=name), affinity=place
        )
        return convert.session_info(response.session, place.value)

    async def list_sessions(self, *, page_size: int = 0) -> AsyncIterator[SessionInfo]:
        """The caller's sessions, newest first; pages are fetched as needed. Behind a gateway, those of one server: the
        client's, or else whichever the gateway picks."""
        place, token = self._place(None), ""
        while True:
            response: pb.ListSessionsResponse = await self._transport.call(
                self._transport.customization.ListSessions,
                pb.ListSessionsRequest(page_size=page_size, page_token=token),
                affinity=place,
            )
            for session in response.sessions:
                yield convert.session_info(session, place.value)
            if not (token := response.next_page_token):
                return

    async def delete_session(self, name: str, *, affinity: str | None = None) -> None:
        """End a session; one that has ended is no error. `affinity` as for `attach_session`."""
        await self._transport.call(
            self._transport.customization.DeleteSession,
            pb.DeleteSessionRequest(name=name),
            affinity=self._place(affinity),
            gone_is_done=True,
        )

    async def capacity(self, pacing: Pacing = Pacing.REALTIME) -> Capacity:
        """How many more sessions of this kind could open now. Behind a gateway, on one server: the client's, or else
        whichever the gateway picks, another each time."""
        request = pb.GetCapacityRequest(pacing=pb.PacingMode.Name(pacing))
        place = Affinity(self._garments.value)
        response: pb.GetCapacityResponse = await self._transport.call(
            self._transport.customization.GetCapacity, request, affinity=place
        )
        return convert.capacity(response, place.value)

    def _place(self, affinity: str | None) -> Affinity:
        """Where to look a session up; what is not given is learned."""
        if affinity:
            return Affinity(affinity)
        return self._garments if self._garments.value else self._looked_up

    # Garments

    async def create_garment(self, picture: PictureSource, *, display_name: str = "") -> Garment:
        """Upload a garment; returns once it is encoded. The same picture gives the same garment."""
        return await self._create_garment(picture, self._garments, display_name)

    async def get_garment(self, name: str) -> Garment:
        """GarmentNotFound if there is none of that name."""
        response: garment_service_pb2.GetGarmentResponse = await self._transport.call(
            self._transport.garments.GetGarment,
            garment_service_pb2.GetGarmentRequest(name=name),
            affinity=self._garments,
        )
        return convert.garment(response.garment, self._garments.value)

    async def list_garments(self, *, page_size: int = 0) -> AsyncIterator[Garment]:
        """The caller's garments, newest first; pages are fetched as needed. Behind a gateway, those of one server."""
        token = ""
        while True:
            response: garment_service_pb2.ListGarmentsResponse = await self._transport.call(
                self._transport.garments.ListGarments,
                garment_service_pb2.ListGarmentsRequest(page_size=page_size, page_token=token),
                affinity=self._garments,
            )
            for garment in response.garments:
                yield convert.garment(garment, self._garments.value)
            if not (token := response.next_page_token):
                return

    async def delete_garment(self, name: str) -> None:
        """Forget a garment; sessions that wear it go on."""
        await self._transport.call(
            self._transport.garments.DeleteGarment,
            garment_service_pb2.DeleteGarmentRequest(name=name),
            affinity=self._garments,
            gone_is_done=True,
        )

    async def _create_garment(self, picture: PictureSource, place: Affinity, display_name: str = "") -> Garment:
        request = garment_service_pb2.CreateGarmentRequest(
            picture=await convert.picture(picture, "picture"),
            display_name=display_name,
            request_id=str(uuid.uuid4()),
        )
        response: garment_service_pb2.CreateGarmentResponse = await self._transport.call(
            self._transport.garments.CreateGarment, request, affinity=place
        )
        return convert.garment(response.garment, place.value)
