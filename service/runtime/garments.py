"""Garments, content-addressed and encoded on arrival."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.errors import NotFound, ResourceExhausted, Unavailable
from service.engine.base import EngineError, Latents

MAX_GARMENTS_PER_TENANT = 10_000
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


@dataclass(slots=True, kw_only=True)
class _Garment:
    view: GarmentView
    encoding: asyncio.Task[Latents] = field(repr=False)


class GarmentStore:
    """Latents of every tenant's garments. `encode` turns a picture into a latent [1, C, h, w]."""

    def __init__(self, encode: Callable[[NDArray[np.uint8]], Coroutine[Any, Any, Latents]]) -> None:
        self._encode = encode
        self._tenants: dict[str, OrderedDict[str, _Garment]] = {}

    def add(self, tenant: str, picture: bytes, rgb: NDArray[np.uint8], display_name: str = "") -> GarmentView:
        """Store a picture (`rgb` [H, W, 3], frame-sized) and begin to encode it; does not wait."""
        garments = self._tenants.setdefault(tenant, OrderedDict())
        garment_id = hashlib.sha256(picture).hexdigest()[:_ID_HEX_DIGITS]
        known = garments.get(garment_id)
        if known is not None and known.view.state is not GarmentState.FAILED:
            if display_name:
                known.view = replace(known.view, display_name=display_name)
            return known.view
        if len(garments) >= MAX_GARMENTS_PER_TENANT:
            raise ResourceExhausted(
                "GARMENT_CAPACITY", f"the tenant has {MAX_GARMENTS_PER_TENANT} garments, its limit", resource=tenant
            )
        view = GarmentView(id=garment_id, state=GarmentState.ENCODING, created_s=time.time(), display_name=display_name)
        task = asyncio.create_task(self._encode(rgb), name=f"encode garment {garment_id}")
        garment = _Garment(view=view, encoding=task)
        task.add_done_callback(lambda done: self._encoded(garment, done))
        garments[garment_id] = garment
        return view

    async def create(self, tenant: str, picture: bytes, rgb: NDArray[np.uint8], display_name: str = "") -> GarmentView:
        """Like `add`, but returns once the garment is encoded."""
        view = self.add(tenant, picture, rgb, display_name)
        await self.latents(tenant, view.id)
        return self.get(tenant, view.id)

    async def latents(self, tenant: str, garment_id: str) -> Latents:
        """[1, C, h, w]; waits for the encoding.

        Raises:
            NotFound: GARMENT_NOT_FOUND.
            Unavailable: GARMENT_NOT_READY, it could not be encoded.
        """
        garment = self._find(tenant, garment_id)
        try:
            return await asyncio.shield(garment.encoding)
        except EngineError as error:
            raise Unavailable("GARMENT_NOT_READY", f"the garment could not be encoded: {error}") from error

    def get(self, tenant: str, garment_id: str) -> GarmentView:
        return self._find(tenant, garment_id).view

    def list(self, tenant: str) -> list[GarmentView]:
        """Newest first."""
        return [garment.view for garment in reversed(self._tenants.get(tenant, OrderedDict()).values())]

    def delete(self, tenant: str, garment_id: str) -> None:
        self._find(tenant, garment_id)
        del self._tenants[tenant][garment_id]

    async def close(self) -> None:
        """Stop what is still being encoded."""
        tasks = [g.encoding for garments in self._tenants.values() for g in garments.values() if not g.encoding.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _find(self, tenant: str, garment_id: str) -> _Garment:
        try:
            return self._tenants[tenant][garment_id]
        except KeyError:
            raise NotFound("GARMENT_NOT_FOUND", f"no garment {garment_id}", resource=garment_id) from None

    @staticmethod
    def _encoded(garment: _Garment, done: asyncio.Task[Latents]) -> None:
        failed = done.cancelled() or done.exception() is not None
        garment.view = replace(garment.view, state=GarmentState.FAILED if failed else GarmentState.READY)
