"""The whole service over the deterministic fake engine: a real server on loopback, and the stock stubs."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import customization_service_pb2_grpc, garment_service_pb2_grpc, media_pb2
from fashionchameleon.v1 import garment_service_pb2 as garment_pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from service.app import App, running
from service.config import Settings
from service.engine.fake import FakeEngine
from tests.service.runtime.conftest import until

BLOCKS = 4
SETTINGS = Settings(listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", engine="fake", blocks=BLOCKS, threads=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A running service and its stubs."""

    app: App
    engine: FakeEngine
    channel: grpc.aio.Channel
    sessions: customization_service_pb2_grpc.CustomizationServiceStub
    garments: garment_service_pb2_grpc.GarmentServiceStub

    async def open(self, **changes: Any) -> str:
        """A session's name."""
        return (await self.sessions.CreateSession(create_request(**changes))).session.name

    async def add_garment(self, value: int) -> str:
        request = garment_pb.CreateGarmentRequest(picture=media_pb2.Picture(data=png(value)))
        return (await self.garments.CreateGarment(request)).garment.name

    async def free_blocks(self, count: int = BLOCKS, *, within_s: float = 2.0) -> None:
        """Return once so many blocks are free."""
        core = self.app.orchestrator._core
        await until(lambda: core.block_counts()["free"] == count, within_s=within_s)
        core.check_integrity()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(blocks=BLOCKS)


@pytest.fixture
def settings() -> Settings:
    return SETTINGS


@pytest.fixture
async def api(settings: Settings, engine: FakeEngine) -> AsyncIterator[Api]:
    async with running(settings, engine) as app, connected(app, engine) as api:
        yield api


class connected:  # noqa: N801 - reads as a verb
    """A client of a running app, with a token or without."""

    def __init__(self, app: App, engine: FakeEngine, token: str | None = None) -> None:
        interceptors = [] if token is None else [*_bearers(token)]
        self._channel = grpc.aio.insecure_channel(app.grpc_address, interceptors=interceptors)
        self._api = Api(
            app=app,
            engine=engine,
            channel=self._channel,
            sessions=customization_service_pb2_grpc.CustomizationServiceStub(self._channel),
            garments=garment_service_pb2_grpc.GarmentServiceStub(self._channel),
        )

    async def __aenter__(self) -> Api:
        return self._api

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()


class _BearerUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_token(details, self._token), request)


class _BearerStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_token(details, self._token), request)


def _bearers(token: str) -> Iterable[grpc.aio.ClientInterceptor]:
    return _BearerUnary(token), _BearerStream(token)


def _with_token(details: Any, token: str) -> Any:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    metadata.add("authorization", f"Bearer {token}")
    return details._replace(metadata=metadata)


def picture_file(rgb: np.ndarray, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, file_format, **options)
    return file.getvalue()


def png(value: int, height: int = 80, width: int = 60) -> bytes:
    return picture_file(np.full((height, width, 3), value, np.uint8))


def create_request(**changes: Any) -> pb.CreateSessionRequest:
    """A good request: five seconds of raw video, as fast as it goes."""
    request = pb.CreateSessionRequest(
        person=media_pb2.Picture(data=png(50)),
        garment=pb.GarmentSource(picture=media_pb2.Picture(data=png(10))),
        prompt="waves",
        seed=7,
        output=pb.Output(format=media_pb2.MEDIA_FORMAT_RAW_RGB24),
        pacing=pb.PACING_MODE_UNPACED,
    )
    request.max_duration.FromSeconds(5)
    for name, value in changes.items():
        request.ClearField(name)
        if name in ("max_duration", "detach_grace"):
            getattr(request, name).FromNanoseconds(round(value * 1e9))
        elif hasattr(value, "DESCRIPTOR"):
            getattr(request, name).CopyFrom(value)
        else:
            setattr(request, name, value)
    return request


def switch(event_id: str, garment: str, **changes: Any) -> pb.GarmentSwitch:
    return pb.GarmentSwitch(event_id=event_id, garment=pb.GarmentSource(garment=garment), **changes)


def new_request_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An RPC error, taken apart."""

    code: grpc.StatusCode
    reason: str
    message: str
    details: dict[str, Any]

    def fields(self) -> dict[str, str]:
        """Field path -> reason."""
        return {v.field: v.reason for v in self.details["BadRequest"].field_violations}


async def refusal(call: Awaitable[Any]) -> Refusal:
    """The error that a call ends with; every one of ours carries an ErrorInfo."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(10):
            await call
    return taken_apart(caught.value)


def taken_apart(error: grpc.aio.AioRpcError) -> Refusal:
    status = rpc_status.from_call(_Call(error))
    assert status is not None, error
    details = {}
    for packed in status.details:
        message = getattr(error_details_pb2, packed.TypeName().rpartition(".")[2])()
        assert packed.Unpack(message)
        details[type(message).__name__] = message
    assert details["ErrorInfo"].domain == "fashionchameleon"
    return Refusal(
        code=error.code(), reason=details["ErrorInfo"].reason, message=error.details() or "", details=details
    )


class _Call:
    """What `rpc_status.from_call` wants of an aio error."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code, self.details, self.trailing_metadata = error.code, error.details, error.trailing_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    header: media_pb2.ChunkHeader
    init_segment: bytes
    media: bytes


class Reader:
    """Reads a stream's events, and checks as it goes what holds of every stream.

    `says_goodbye`: its half is closed once the session is over, as clients should.
    """

    def __init__(self, call: Any, *, says_goodbye: bool = False) -> None:
        self.call = call
        self.says_goodbye = says_goodbye
        self.events: list[pb.StreamEvent] = []
        self.chunks: list[Chunk] = []

    async def next(self) -> pb.StreamEvent | None:
        """The next event; a chunk's parts are taken with its header. None at the end."""
        async with asyncio.timeout(10):
            response = await self.call.read()
            if response is grpc.aio.EOF:
                return None
            event = response.event
            assert event.HasField("started") == (not self.events), "Started is first, and only first"
            assert not (self.events and self.events[-1].HasField("ended")), "nothing follows Ended"
            if event.HasField("chunk_header"):
                self.chunks.append(await self._chunk(event.chunk_header))
        self.events.append(event)
        if event.HasField("ended") and self.says_goodbye:
            await self.call.done_writing()
        return event

    async def until_chunks(self, count: int) -> list[Chunk]:
        while len(self.chunks) < count:
            assert await self.next() is not None, "the stream is over"
        return self.chunks

    async def until(self, kind: str) -> Any:
        """The next event of a kind."""
        while (event := await self.next()) is not None:
            if event.HasField(kind):
                return getattr(event, kind)
        raise AssertionError(f"the stream is over without {kind}")

    async def to_end(self) -> pb.Ended:
        while await self.next() is not None:
            pass
        return self.events[-1].ended

    def of_kind(self, kind: str) -> list[Any]:
        return [getattr(event, kind) for event in self.events if event.HasField(kind)]

    async def _chunk(self, header: media_pb2.ChunkHeader) -> Chunk:
        parts = []
        for index in range(header.part_count):
            part = (await self.call.read()).event.media_part
            assert (part.sequence, part.index) == (header.sequence, index)
            assert 0 < len(part.data) <= 256 << 10
            parts.append(part)
        if self.chunks:
            before = self.chunks[-1].header
            assert header.sequence == before.sequence + 1
            assert (header.cursor.segment, header.cursor.chunk) > (before.cursor.segment, before.cursor.chunk)
        media = b"".join(part.data for part in parts if not part.init_segment)
        assert len(media) == header.media_bytes
        init_segment = b"".join(part.data for part in parts if part.init_segment)
        return Chunk(header=header, init_segment=init_segment, media=media)


def stream(api: Api, name: str, cursor: media_pb2.Cursor | None = None) -> Reader:
    return Reader(api.sessions.StreamVideo(pb.StreamVideoRequest(name=name, cursor=cursor)))


async def interact(api: Api, first: pb.CreateSessionRequest | str) -> Reader:
    """An Interact stream whose first message is sent."""
    call = api.sessions.Interact()
    action = (
        pb.InteractRequest(attach=pb.StreamVideoRequest(name=first))
        if isinstance(first, str)
        else pb.InteractRequest(create=first)
    )
    await call.write(action)
    return Reader(call, says_goodbye=True)
