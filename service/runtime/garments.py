"""Garments, content-addressed and encoded on arrival.

Those made by CreateGarment are kept until they are deleted. Those that came with a session or a switch live as long as
one claims them; then they are a cache, of which the least recently used make room.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from service.engine.base import EngineError, EngineUnavailable, Latents

MAX_GARMENTS_PER_TENANT = 10_000
GARMENT_BYTES = 512 << 20
_RECORD_BYTES = 2 << 10
"""Of a garment beside its picture, which is held while it is encoded, or its latent."""
_ID_HEX_DIGITS = 32


class GarmentState(IntEnum):
    """Numbered as in the proto."""

    ENCODING = 1
    READY = 2
    FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GarmentView:
    id: str
    state: GarmentState
    created_s: float
    """Unix time."""
    display_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGarment:
    """A picture that is to become a garment: `rgb` [H, W, 3], frame-sized; the id is of the file's bytes."""

    id: str
    rgb: NDArray[np.uint8] = field(repr=False)
    display_name: str = ""

    @classmethod
    def of(cls, picture: bytes, rgb: NDArray[np.uint8], display_name: str = "") -> NewGarment:
        """Reads all of `picture`, up to 10 MiB: not on the event loop."""
        garment_id = hashlib.sha256(picture).hexdigest()[:_ID_HEX_DIGITS]
        return cls(id=garment_id, rgb=rgb, display_name=display_name)


@dataclass(slots=True, kw_only=True)
class _Garment:
    tenant: str
    view: GarmentView
    encoding: asyncio.Task[Latents] = field(repr=False)
    bytes: int
    kept: bool
    claims: int = 0
    stored: bool = True
    """Not deleted, evicted or uploaded anew."""

    @property
    def failed(self) -> bool:
        return self.view.state is GarmentState.FAILED


class Claim:
    """A session's or switch's hold on a garment: its latent is there until `release`, whoever deletes it meanwhile."""

    def __init__(self, garment: _Garment, on_release: Callable[[_Garment], None]) -> None:
        self._garment, self._on_release = garment, on_release
        self._released = False

    async def latents(self) -> Latents:
        """[1, C, h, w]; waits for the encoding.

        Raises:
            FailedPrecondition: GARMENT_NOT_READY, it could not be encoded.
            Unavailable: ENGINE_DOWN, the server stops.
        """
        try:
            return await asyncio.shield(self._garment.encoding)
        except EngineUnavailable as error:
            raise Unavailable("ENGINE_DOWN", f"the engine is gone: {error}") from error
        except EngineError as error:
            raise _not_ready(self._garment.view.id, str(error)) from error

    def release(self) -> None:
        """May be called twice."""
        if not self._released:
            self._released = True
            self._on_release(self._garment)


class GarmentStore:
    """Latents of every tenant's garments.

    Args:
        encode: turns a picture into a latent [1, C, h, w].
        max_bytes: of all tenants' garments. Only what sessions and switches claim may exceed it, and their number is
            bounded.
    """

    def __init__(
        self,
        encode: Callable[[NDArray[np.uint8]], Coroutine[Any, Any, Latents]],
        *,
        max_bytes: int = GARMENT_BYTES,
    ) -> None:
        self._encode = encode
        self._max_bytes = max_bytes
        self._tenants: dict[str, OrderedDict[str, _Garment]] = {}
        self._kept: Counter[str] = Counter()
        """By tenant."""
        self._unclaimed: OrderedDict[tuple[str, str], _Garment] = OrderedDict()
        """Those that may go, the least recently used first."""
        self._encodings: set[asyncio.Task[Latents]] = set()
        self.bytes = 0

    def add(self, tenant: str, new: NewGarment) -> GarmentView:
        """Store a garment until it is deleted, and begin to encode it; does not wait.

        Raises:
            ResourceExhausted: GARMENT_CAPACITY, the tenant has as many as it may; GARMENT_MEMORY, all tenants together.
        """
        garment = self._find(tenant, new.id)
        if garment is None or garment.failed or not garment.kept:
            self._check_caps(tenant, needed=0 if garment and not garment.failed else _bytes_at_first(new))
            garment = self._stored(tenant, new)
            self._unclaimed.pop((tenant, new.id), None)
            if not garment.kept:
                garment.kept = True
                self._kept[tenant] += 1
        if new.display_name:
            garment.view = replace(garment.view, display_name=new.display_name)
        return garment.view

    async def create(self, tenant: str, new: NewGarment) -> GarmentView:
        """Like `add`, but returns once the garment is encoded. Raises what `Claim.latents` does, too."""
        self.add(tenant, new)
        claim = self.claim(tenant, new.id)
        try:
            await claim.latents()
        finally:
            claim.release()
        return self.get(tenant, new.id)

    def check(self, tenant: str, garment_id: str) -> None:
        """That it may be worn.

        Raises:
            NotFound: GARMENT_NOT_FOUND.
            FailedPrecondition: GARMENT_NOT_READY, it could not be encoded.
        """
        if self.get(tenant, garment_id).state is GarmentState.FAILED:
            raise _not_ready(garment_id, "upload it again")

    def claim(self, tenant: str, garment_id: str, new: NewGarment | None = None) -> Claim:
        """Hold a garment; with `new` one that comes with the request. Raises what `check` does."""
        if new is None:
            self.check(tenant, garment_id)
            garment = self._tenants[tenant][garment_id]
        else:
            garment = self._stored(tenant, new)
        garment.claims += 1
        self._unclaimed.pop((tenant, garment_id), None)
        return Claim(garment, self._released)

    def get(self, tenant: str, garment_id: str) -> GarmentView:
        if (garment := self._find(tenant, garment_id)) is None:
            raise NotFound("GARMENT_NOT_FOUND", f"no garment {garment_id}", resource=garment_id)
        return garment.view

    def list(self, tenant: str) -> list[GarmentView]:
        """Newest first; those that came with requests too, while they are there."""
        return [garment.view for garment in reversed(self._tenants.get(tenant, OrderedDict()).values())]

    def delete(self, tenant: str, garment_id: str) -> None:
        self.get(tenant, garment_id)
        self._remove(self._tenants[tenant][garment_id])

    async def close(self) -> None:
        """Stop what is still being encoded."""
        tasks = tuple(self._encodings)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Inside

    def _find(self, tenant: str, garment_id: str) -> _Garment | None:
        return self._tenants.get(tenant, OrderedDict()).get(garment_id)

    def _check_caps(self, tenant: str, *, needed: int) -> None:
        if self._kept[tenant] >= MAX_GARMENTS_PER_TENANT:
            raise ResourceExhausted(
                "GARMENT_CAPACITY", f"the tenant has {MAX_GARMENTS_PER_TENANT} garments, its limit", resource=tenant
            )
        if not self._make_room(needed):
            raise ResourceExhausted("GARMENT_MEMORY", f"all garments take {self._max_bytes:,} bytes, the limit")

    def _stored(self, tenant: str, new: NewGarment) -> _Garment:
        """The garment; encoded from here on, unless it is known already."""
        known = self._find(tenant, new.id)
        if known is not None and not known.failed:
            return known
        if known is not None:
            self._remove(known)
        self._make_room(_bytes_at_first(new))
        task = asyncio.create_task(self._encode(new.rgb), name=f"encode garment {new.id}")
        view = GarmentView(id=new.id, state=GarmentState.ENCODING, created_s=time.time(), display_name=new.display_name)
        kept = known is not None and known.kept
        garment = _Garment(tenant=tenant, view=view, encoding=task, bytes=_bytes_at_first(new), kept=kept)
        self._tenants.setdefault(tenant, OrderedDict())[new.id] = garment
        self._kept[tenant] += kept
        self.bytes += garment.bytes
        self._encodings.add(task)
        task.add_done_callback(lambda done: self._encoded(garment, done))
        return garment

    def _encoded(self, garment: _Garment, done: asyncio.Task[Latents]) -> None:
        self._encodings.discard(done)
        failed = done.cancelled() or done.exception() is not None
        garment.view = replace(garment.view, state=GarmentState.FAILED if failed else GarmentState.READY)
        needed = _RECORD_BYTES + (0 if failed else done.result().nbytes)
        if garment.stored:
            self.bytes += needed - garment.bytes
        garment.bytes = needed
        self._tidy(garment)

    def _released(self, garment: _Garment) -> None:
        garment.claims -= 1
        self._tidy(garment)

    def _tidy(self, garment: _Garment) -> None:
        """It may be of no more use, or fit to make room for others."""
        if garment.claims:
            return
        if not garment.stored:
            garment.encoding.cancel()
        elif not garment.kept:
            if garment.failed:
                self._remove(garment)
            else:
                self._unclaimed[garment.tenant, garment.view.id] = garment
                self._make_room(0)

    def _make_room(self, needed: int) -> bool:
        """False if what may go is not enough."""
        while self.bytes + needed > self._max_bytes and self._unclaimed:
            self._remove(next(iter(self._unclaimed.values())))
        return self.bytes + needed <= self._max_bytes

    def _remove(self, garment: _Garment) -> None:
        garments, garment_id = self._tenants[garment.tenant], garment.view.id
        del garments[garment_id]
        if not garments:
            del self._tenants[garment.tenant]
        self._kept[garment.tenant] -= garment.kept
        self._unclaimed.pop((garment.tenant, garment_id), None)
        self.bytes -= garment.bytes
        garment.stored = False
        self._tidy(garment)


def _bytes_at_first(new: NewGarment) -> int:
    """Until it is encoded."""
    return _RECORD_BYTES + new.rgb.nbytes


def _not_ready(garment_id: str, why: str) -> FailedPrecondition:
    message = f"the garment could not be encoded: {why}"
    return FailedPrecondition("GARMENT_NOT_READY", message, resource=garment_id)
