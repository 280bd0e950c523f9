"""The garments of all tenants: which are kept, which may go, and what refuses more."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from service.core.errors import FailedPrecondition, NotFound, ResourceExhausted
from service.engine.base import EngineError, Latents
from service.runtime import garments
from service.runtime.garments import GarmentState, GarmentStore, NewGarment
from tests.service.runtime.conftest import picture

RGB_BYTES = picture(0).nbytes
LATENT_BYTES = 1000
RECORD_BYTES = garments._RECORD_BYTES


class Encoder:
    """Encodes when it may; fails where it is told to."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.fails = False
        self.cancelled = 0

    async def __call__(self, rgb: NDArray[np.uint8]) -> Latents:
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise EngineError("no")
        return np.zeros(LATENT_BYTES // 4, np.float32)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
async def store(encoder: Encoder) -> AsyncIterator[GarmentStore]:
    """Room for six that are encoded, and one more while it is not."""
    store = GarmentStore(encoder, max_bytes=6 * (LATENT_BYTES + RECORD_BYTES) + RGB_BYTES + RECORD_BYTES)
    yield store
    await store.close()


def new(number: int) -> NewGarment:
    return NewGarment.of(bytes([number]), picture(number))


async def came_with_a_request(store: GarmentStore, number: int, tenant: str = "t") -> str:
    """A garment that was claimed, and is no more; its id."""
    garment = new(number)
    claim = store.claim(tenant, garment.id, garment)
    await claim.latents()
    claim.release()
    return garment.id


def ids(store: GarmentStore, tenant: str = "t") -> set[str]:
    return {view.id for view in store.list(tenant)}


async def test_pictures_that_came_with_requests_make_room_for_others_the_least_recently_used_first(
    store: GarmentStore,
) -> None:
    first, second = [await came_with_a_request(store, number) for number in (0, 1)]
    for number in range(2, 100):
        await came_with_a_request(store, number)
        store.claim("t", first).release()
    assert first in ids(store)
    assert second not in ids(store)
    assert 7 <= len(ids(store)) <= 11
    with pytest.raises(NotFound):
        store.claim("t", second)


async def test_what_is_claimed_or_was_created_stays(store: GarmentStore) -> None:
    created = await store.create("t", new(200))
    claimed = new(201)
    claim = store.claim("t", claimed.id, claimed)
    for number in range(100):
        await came_with_a_request(store, number, tenant="other")
    assert ids(store) == {created.id, claimed.id}
    claim.release()
    claim.release()
    for number in range(100):
        await came_with_a_request(store, number, tenant="other")
    assert ids(store) == {created.id}


async def test_a_picture_that_came_with_a_request_stays_once_it_was_created(store: GarmentStore) -> None:
    garment_id = await came_with_a_request(store, 200)
    assert (await store.create("t", new(200))).id == garment_id
    for number in range(100):
        await came_with_a_request(store, number)
    assert garment_id in ids(store)


async def test_creating_beyond_the_bytes_of_all_tenants_is_refused_and_requests_still_bring_pictures(
    store: GarmentStore,
) -> None:
    kept = [await store.create(f"tenant {number}", new(number)) for number in range(7)]
    with pytest.raises(ResourceExhausted, match="limit") as caught:
        await store.create("one more", new(7))
    assert caught.value.reason == "GARMENT_MEMORY"
    claimed = new(200)
    claim = store.claim("t", claimed.id, claimed)
    await claim.latents()
    claim.release()
    for number, garment in enumerate(kept):
        store.delete(f"tenant {number}", garment.id)
    assert store.bytes <= LATENT_BYTES + RECORD_BYTES
    await store.create("t", new(201))


async def test_a_tenant_may_create_so_many(store: GarmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garments, "MAX_GARMENTS_PER_TENANT", 2)
    for number in (0, 1, 1):
        await store.create("t", new(number))
    await came_with_a_request(store, 7)
    with pytest.raises(ResourceExhausted) as caught:
        await store.create("t", new(2))
    assert (caught.value.reason, caught.value.resource) == ("GARMENT_CAPACITY", "t")
    await store.create("u", new(2))
    store.delete("t", new(0).id)
    await store.create("t", new(2))


async def test_one_that_cannot_be_encoded_may_not_be_worn_and_may_come_again(
    store: GarmentStore, encoder: Encoder
) -> None:
    encoder.fails = True
    with pytest.raises(FailedPrecondition) as caught:
        await store.create("t", new(0))
    assert (caught.value.reason, caught.value.resource) == ("GARMENT_NOT_READY", new(0).id)
    with pytest.raises(FailedPrecondition):
        store.claim("t", new(0).id)
    with pytest.raises(FailedPrecondition):
        await came_with_a_request(store, 1)
    encoder.fails = False
    await came_with_a_request(store, 0)
    assert store.get("t", new(0).id).state is GarmentState.READY


async def test_a_failed_one_that_nobody_created_is_forgotten(store: GarmentStore, encoder: Encoder) -> None:
    encoder.fails = True
    claim = store.claim("t", new(0).id, new(0))
    with pytest.raises(FailedPrecondition):
        await claim.latents()
    claim.release()
    assert not ids(store)
    assert store.bytes == 0


async def test_what_is_deleted_meanwhile_can_still_be_worn_by_who_claimed_it(
    store: GarmentStore, encoder: Encoder
) -> None:
    encoder.may.clear()
    store.add("t", new(0))
    claim = store.claim("t", new(0).id)
    store.delete("t", new(0).id)
    assert store.bytes == 0
    encoder.may.set()
    assert (await claim.latents()).nbytes == LATENT_BYTES
    claim.release()
    assert store.bytes == 0


async def test_one_that_gives_up_waiting_does_not_stop_the_encoding_for_others(
    store: GarmentStore, encoder: Encoder
) -> None:
    encoder.may.clear()
    first, second = [store.claim("t", new(0).id, new(0)) for _ in range(2)]
    impatient = asyncio.create_task(first.latents())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait((impatient,))
    first.release()
    encoder.may.set()
    assert (await second.latents()).nbytes == LATENT_BYTES
    second.release()


async def test_what_nobody_waits_for_is_not_encoded_any_further(store: GarmentStore, encoder: Encoder) -> None:
    encoder.may.clear()
    store.add("t", new(0))
    await asyncio.sleep(0)
    store.delete("t", new(0).id)
    await asyncio.sleep(0)
    assert encoder.cancelled == 1
