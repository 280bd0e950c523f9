"""From requests to the service's nouns: checks everything, decodes pictures."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import garment_service_pb2, media_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from numpy.typing import NDArray

from contract.cache_plan import Policy
from service.core.events import Cursor, SessionConfig, Switch
from service.media.picture import PictureError, decode_picture, fit_crop, fit_pad_white
from service.rpc import limits
from service.rpc.idempotency import Answers, Key
from service.rpc.limits import Findings
from service.runtime.garments import NewGarment
from service.runtime.orchestrator import Orchestrator

T = TypeVar("T")
Rgb = NDArray[np.uint8]
Fit = Callable[[Rgb, int, int], Rgb]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What was asked for: the person [H, W, 3], frame-sized, and the garment if it came as a picture."""

    config: SessionConfig
    person: Rgb
    garment: NewGarment | None


class Intake:
    """Reads requests; each method raises InvalidArgument with everything that is wrong. `within` prefixes field paths.

    Pictures are decoded on `threads`: as many at once as there are, so that memory is bounded.
    """

    def __init__(self, orchestrator: Orchestrator, threads: Executor) -> None:
        self._orchestrator = orchestrator
        self._threads = threads

    async def session(self, tenant: str, request: pb.CreateSessionRequest, *, within: str = "") -> NewSession:
        """The session asked for; before a picture is decoded, also raises what `Orchestrator.check_session` does."""
        findings = Findings(within)
        limits.request_id(findings, request.request_id)
        config = SessionConfig(
            tenant=tenant,
            garment=self._garment_named(findings, request.garment),
            prompt=self._prompt(findings, request.prompt),
            seed=limits.seed(request.seed),
            format=limits.media_format(findings, request.output.format),
            jpeg_quality=limits.jpeg_quality(findings, request.output.jpeg_quality),
            pacing=limits.pacing(findings, request.pacing),
            policy=limits.policy(findings, request.policy) or Policy.REFRESH_WITHDRAW_DISENTANGLE,
            max_duration_s=limits.max_duration_s(findings, _duration(request, "max_duration")),
            detach_grace_s=limits.detach_grace_s(findings, _duration(request, "detach_grace")),
        )
        if not findings:
            self._orchestrator.check_session(config)
        person, garment = await asyncio.gather(
            self._picture(findings, "person.data", request.person, fit_crop),
            self._garment_brought(findings, request.garment),
        )
        findings.raise_any()
        assert person is not None
        return NewSession(config=replace(config, garment=_id(config.garment, garment)), person=person, garment=garment)

    async def switch(self, request: pb.GarmentSwitch, *, within: str = "") -> tuple[Switch, NewGarment | None]:
        """The switch asked for, and its garment if it came as a picture."""
        findings = Findings(within)
        event_id = limits.event_id(findings, request.event_id)
        prompt = self._prompt(findings, request.prompt) if request.prompt else None
        policy = limits.policy(findings, request.policy)
        not_before_s = limits.not_before_s(findings, _duration(request, "not_before"))
        name = self._garment_named(findings, request.garment)
        garment = await self._garment_brought(findings, request.garment)
        findings.raise_any()
        switch = Switch(
            event_id=event_id, garment=_id(name, garment), prompt=prompt, policy=policy, not_before_s=not_before_s
        )
        return switch, garment

    async def new_garment(self, request: garment_service_pb2.CreateGarmentRequest) -> NewGarment:
        findings = Findings()
        limits.request_id(findings, request.request_id)
        name = limits.display_name(findings, request.display_name)
        new = await self._new_garment(findings, "picture.data", request.picture, name)
        findings.raise_any()
        assert new is not None
        return new

    async def digest(self, request: Message) -> bytes:
        """Of the request's content, for idempotency."""
        return await self._in_thread(lambda: hashlib.sha256(request.SerializeToString(deterministic=True)).digest())

    def _prompt(self, findings: Findings, value: str) -> str:
        return limits.prompt(
            findings,
            value,
            max_tokens=self._orchestrator.geometry.text_tokens,
            token_count=self._orchestrator.token_count,
        )

    def _garment_named(self, findings: Findings, source: pb.GarmentSource) -> str:
        """A garment's id; empty with findings, or if it comes as a picture."""
        match source.WhichOneof("source"):
            case "garment":
                return limits.resource_id(findings, "garment.garment", "garments", source.garment)
            case None:
                findings.add("garment", "must name a garment or bring a picture", "GARMENT_REQUIRED")
        return ""

    async def _garment_brought(self, findings: Findings, source: pb.GarmentSource) -> NewGarment | None:
        """None with findings, or if it is named."""
        if source.WhichOneof("source") != "picture":
            return None
        return await self._new_garment(findings, "garment.picture.data", source.picture)

    async def _new_garment(
        self, findings: Findings, field: str, picture: media_pb2.Picture, name: str = ""
    ) -> NewGarment | None:
        rgb = await self._picture(findings, field, picture, fit_pad_white)
        return None if rgb is None else await self._in_thread(lambda: NewGarment.of(picture.data, rgb, name))

    async def _picture(self, findings: Findings, field: str, picture: media_pb2.Picture, fit: Fit) -> Rgb | None:
        """[H, W, 3], frame-sized; None with findings."""
        geometry = self._orchestrator.geometry
        height, width = geometry.frame_height, geometry.frame_width
        try:
            return await self._in_thread(
                lambda: fit(decode_picture(picture.data, needed_side=max(height, width)), height, width)
            )
        except PictureError as error:
            findings.add(field, str(error), error.reason)
            return None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


async def answer_once(
    answers: Answers[T],
    intake: Intake,
    tenant: str,
    request: pb.CreateSessionRequest | garment_service_pb2.CreateGarmentRequest,
    work: Callable[[], Awaitable[T]],
) -> T:
    """`work`'s answer; the one given before if the request's id came with the same content before."""
    if not request.request_id:
        return await work()
    key = Key(tenant=tenant, method=request.DESCRIPTOR.name, request_id=request.request_id)
    return await answers.once(key, await intake.digest(request), work)


def session_name(name: str, *, field: str = "name") -> str:
    """The id in `sessions/{session}`."""
    findings = Findings()
    session_id = limits.resource_id(findings, field, "sessions", name)
    findings.raise_any()
    return session_id


def garment_name(name: str) -> str:
    """The id in `garments/{garment}`."""
    findings = Findings()
    garment_id = limits.resource_id(findings, "name", "garments", name)
    findings.raise_any()
    return garment_id


def cursor(request: pb.StreamVideoRequest) -> Cursor | None:
    if not request.HasField("cursor"):
        return None
    return Cursor(segment=request.cursor.segment, chunk=request.cursor.chunk)


def _id(named: str, brought: NewGarment | None) -> str:
    return named if brought is None else brought.id


def _duration(request: Message, field: str) -> Duration | None:
    return getattr(request, field) if request.HasField(field) else None
