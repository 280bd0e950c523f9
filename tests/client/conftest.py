"""The SDK against the whole service over the fake engine, and against services that misbehave to order."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from chameleon import AsyncChameleon, MediaFormat, Pacing, RetryPolicy
from service.app import App, running
from service.config import Settings
from service.engine.fake import FakeEngine

BLOCKS = 4
FAST = RetryPolicy(attempts=4, initial_s=0.01, max_s=0.5)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(blocks=BLOCKS)


@pytest.fixture
async def app(engine: FakeEngine) -> AsyncIterator[App]:
    settings = Settings(listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", blocks=BLOCKS, threads=2)
    async with running(settings, engine) as app:
        yield app


@pytest.fixture
async def chameleon(app: App) -> AsyncIterator[AsyncChameleon]:
    async with AsyncChameleon(app.grpc_address, retry=FAST) as client:
        yield client


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((80, 60, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def wanted(**changes: Any) -> dict[str, Any]:
    """Arguments of `open_session`: some raw video as fast as it goes, the same for the same seed."""
    return {
        "person": png(50),
        "garment": png(10),
        "prompt": "waves",
        "seed": 7,
        "format": MediaFormat.RAW,
        "pacing": Pacing.UNPACED,
        "max_duration_s": 6.0,
        **changes,
    }


@asynccontextmanager
async def serving(*services: tuple[Any, Any]) -> AsyncIterator[str]:
    """The address of a server of (adder, servicer)s on loopback."""
    server = grpc.aio.server()
    for add, servicer in services:
        add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


class Proxy:
    """Passes bytes on to the service until it is cut."""

    def __init__(self, upstream: str) -> None:
        self._host, _, self._port = upstream.rpartition(":")
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.address = ""

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Every connection breaks, without a word; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection(self._host, int(self._port))
        self._writers |= {writer, up_writer}
        await asyncio.gather(self._pass_on(reader, up_writer), self._pass_on(up_reader, writer))
        self._writers -= {writer, up_writer}

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(app: App) -> AsyncIterator[Proxy]:
    async with Proxy(app.grpc_address) as proxy:
        yield proxy
