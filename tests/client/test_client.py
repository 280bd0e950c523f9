"""Calls of the client to the real service over the fake engine."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from chameleon import AsyncChameleon, Chameleon, GarmentState, Pacing, SessionState
from chameleon.errors import (
    CapacityReached,
    GarmentNotFound,
    InvalidArgument,
    NotFound,
    SessionNotFound,
    Unauthenticated,
    Unavailable,
)
from service.app import App, running
from service.config import Settings
from service.engine.fake import FakeEngine
from tests.client.conftest import BLOCKS, FAST, png, wanted

NOBODY = "sessions/" + "0" * 32


async def test_garments_are_made_found_listed_over_pages_and_forgotten(
    chameleon: AsyncChameleon, tmp_path: Path
) -> None:
    path = tmp_path / "coat.png"
    path.write_bytes(png(1))
    coat = await chameleon.create_garment(path, display_name="coat")
    assert (coat.state, coat.display_name) == (GarmentState.READY, "coat")
    assert await chameleon.get_garment(coat.name) == coat
    names = [(await chameleon.create_garment(png(value))).name for value in range(2, 7)]
    listed = [garment.name async for garment in chameleon.list_garments(page_size=2)]
    assert listed == [*reversed(names), coat.name]
    await chameleon.delete_garment(coat.name)
    with pytest.raises(GarmentNotFound):
        await chameleon.get_garment(coat.name)
    with pytest.raises(NotFound):
        await chameleon.delete_garment(coat.name)


async def test_sessions_are_listed_found_and_ended(chameleon: AsyncChameleon) -> None:
    async with chameleon.open_session(**wanted(max_duration_s=60.0)) as session:
        listed = [found async for found in chameleon.list_sessions(page_size=1)]
        assert [found.name for found in listed] == [session.name]
        await chameleon.delete_session(session.name)
        await chameleon.delete_session(session.name)
        assert (await chameleon.get_session(session.name)).state is SessionState.ENDED
    with pytest.raises(SessionNotFound) as caught:
        await chameleon.get_session(NOBODY)
    assert (caught.value.code, caught.value.resource) == (grpc.StatusCode.NOT_FOUND, NOBODY)


async def test_capacity_counts_places(chameleon: AsyncChameleon) -> None:
    room = await chameleon.capacity(Pacing.UNPACED)
    assert (room.available, room.open, room.slots, room.retry_after_s) == (BLOCKS, 0, BLOCKS, None)


async def test_a_full_service_says_when_to_ask_again(chameleon: AsyncChameleon) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(BLOCKS):
            await stack.enter_async_context(chameleon.open_session(**wanted(max_duration_s=600.0)))
        with pytest.raises(CapacityReached) as caught:
            async with chameleon.open_session(**wanted()):
                pass
    assert caught.value.retry_after_s is not None
    assert caught.value.reason == "SESSION_CAPACITY"


async def test_everything_wrong_with_a_request_is_named_by_field(chameleon: AsyncChameleon) -> None:
    with pytest.raises(InvalidArgument) as caught:
        async with chameleon.open_session(**wanted(person=b"no picture", prompt="", max_duration_s=-1.0)):
            pass
    assert {violation.field for violation in caught.value.violations} == {"person.data", "prompt", "max_duration"}
    assert "1000" in str(caught.value)


async def test_a_picture_too_large_for_a_message_is_named_by_field_and_limit(
    chameleon: AsyncChameleon, tmp_path: Path
) -> None:
    endless = tmp_path / "endless.jpg"
    with endless.open("wb") as file:
        file.truncate(1 << 40)  # not to be read to its end

    async def open_with(**wrong: Any) -> None:
        async with chameleon.open_session(**wanted(**wrong)):
            pass

    async with chameleon.open_session(**wanted()) as session:
        refused = {
            "person.data": open_with(person=endless),
            "garment.picture.data": open_with(garment=bytes(17 << 20)),
            "picture.data": chameleon.create_garment(endless),
            "switch_garment.garment.picture.data": session.switch(endless),
        }
        for field, call in refused.items():
            with pytest.raises(InvalidArgument) as caught:
                await call
            (violation,) = caught.value.violations
            assert (violation.field, violation.reason) == (field, "IMAGE_TOO_LARGE")
            assert "10,485,760 bytes" in str(caught.value)


@pytest.mark.parametrize("length_s", [float("nan"), float("inf"), -float("inf"), 1e300])
async def test_what_is_no_duration_is_the_callers_error(chameleon: AsyncChameleon, length_s: float) -> None:
    with pytest.raises(ValueError, match="a duration cannot be"):
        async with chameleon.open_session(**wanted(max_duration_s=length_s)):
            pass


@pytest.mark.parametrize("client", [AsyncChameleon, Chameleon])
@pytest.mark.parametrize("argument", ["token", "affinity"])
def test_what_cannot_be_a_header_is_the_callers_error(client: Any, argument: str) -> None:
    with pytest.raises(ValueError, match="must be printable ASCII"):
        client("127.0.0.1:1", **{argument: "geheim-\u00fc"})


async def test_a_file_that_is_not_there_is_the_callers_error(chameleon: AsyncChameleon, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await chameleon.create_garment(tmp_path / "no.png")


async def test_a_token_tells_who_calls(engine: FakeEngine, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("shop secret\n")
    settings = Settings.from_environment(
        {
            "CHAMELEON_LISTEN": "127.0.0.1:0",
            "CHAMELEON_METRICS_LISTEN": "127.0.0.1:0",
            "CHAMELEON_TOKENS": str(tokens),
        }
    )
    async with running(settings, engine) as app:
        async with AsyncChameleon(app.grpc_address) as stranger:
            with pytest.raises(Unauthenticated, match="TOKEN_INVALID"):
                await stranger.capacity()
        async with AsyncChameleon(app.grpc_address, token="secret") as shop:
            assert (await shop.capacity()).slots == BLOCKS
            async with shop.open_session(**wanted()) as session:
                assert (await anext(session)).sequence == 0


async def test_nobody_there_is_unavailable(app: App) -> None:
    async with AsyncChameleon("127.0.0.1:1", retry=FAST) as chameleon:
        with pytest.raises(Unavailable):
            await chameleon.capacity()


async def test_a_client_must_be_open_and_is_opened_once(app: App) -> None:
    client = AsyncChameleon(app.grpc_address)
    with pytest.raises(RuntimeError, match="not open"):
        await client.capacity()
    async with client:
        with pytest.raises(RuntimeError, match="open already"):
            await client.__aenter__()
    async with client:  # and again after it was closed
        await client.capacity()
