"""A server of the same public API whose every delay is stated beforehand: what the harness is measured against.

A process of its own (`python -m loadtest.stated JSON`), so that its work is not the harness's.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from fashionchameleon.v1 import (
    customization_service_pb2,
    customization_service_pb2_grpc,
    garment_service_pb2,
    garment_service_pb2_grpc,
    media_pb2,
)
from pydantic import Field

from loadtest.model import Model

pb: Any = customization_service_pb2
_FPS = 12
_GARMENT = "garments/" + "0" * 32
_MEDIA = bytes(4096)


class Stated(Model):
    """Seconds, unless a name says otherwise. Chunk 0 and 1 come together, `first_s` behind the stream's start, each
    later one `chunk_s` after the one before: a lead of one chunk."""

    create_s: float = Field(default=0.0, ge=0, description="until CreateSession answers")
    serial_s: float = Field(default=0.0, ge=0, description="the same, but one call at a time")
    first_s: float = Field(default=0.0, ge=0)
    chunk_s: float = Field(default=1.0, gt=0)
    late_chunk: int | None = Field(default=None, description="this chunk, of every session, ...")
    late_s: float = Field(default=0.0, ge=0, description="... is sent so much later")
    accept_s: float = Field(default=0.0, ge=0, description="until SwitchGarment answers")
    reject_every: int = Field(default=0, ge=0, description="every such CreateSession finds no place")
    reject_s: float = Field(default=0.0, ge=0, description="until it is told so")


@dataclass(slots=True, kw_only=True)
class _Session:
    message: Any
    chunks: int
    switches: list[str] = field(default_factory=list)
    """Event ids accepted and not yet shown."""
    over: bool = False


class StatedService(
    customization_service_pb2_grpc.CustomizationServiceServicer, garment_service_pb2_grpc.GarmentServiceServicer
):
    """Both services; what the harness does not call is not there."""

    def __init__(self, stated: Stated) -> None:
        self._stated = stated
        self._free_s = 0.0
        """When the last of the calls in line will have been served."""
        self._created = 0
        self._sessions: dict[str, _Session] = {}

    async def GetCapacity(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.GetCapacityResponse(available=1000, slots=1000)

    async def CreateGarment(self, request: Any, context: Any) -> Any:  # noqa: N802
        garment = garment_service_pb2.Garment(name=_GARMENT, state=garment_service_pb2.GARMENT_STATE_READY)
        return garment_service_pb2.CreateGarmentResponse(garment=garment)

    async def CreateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._created += 1
        number, stated = self._created, self._stated
        if stated.reject_every and number % stated.reject_every == 0:
            await asyncio.sleep(stated.reject_s)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no place, as stated")
        if stated.serial_s:
            now_s = asyncio.get_running_loop().time()
            self._free_s = max(self._free_s, now_s) + stated.serial_s
            await asyncio.sleep(self._free_s - now_s)
        await asyncio.sleep(stated.create_s)
        name = f"sessions/{number}"
        message = pb.Session(
            name=name, state=pb.SESSION_STATE_STREAMING, garment=_GARMENT, prompt=request.prompt, seed=1,
            output=pb.Output(format=media_pb2.MEDIA_FORMAT_H264_FMP4), pacing=pb.PACING_MODE_REALTIME,
            policy=pb.RESCHEDULING_POLICY_REFRESH_WITHDRAW_DISENTANGLE, width=64, height=64, frames_per_second=_FPS,
        )  # fmt: skip
        chunks = max(1, round(request.max_duration.ToNanoseconds() / 1e9 / stated.chunk_s))
        self._sessions[name] = _Session(message=message, chunks=chunks)
        return pb.CreateSessionResponse(session=message)

    async def DeleteSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._sessions.pop(request.name, None)
        return pb.DeleteSessionResponse()

    async def SwitchGarment(self, request: Any, context: Any) -> Any:  # noqa: N802
        await asyncio.sleep(self._stated.accept_s)
        switch = request.switch_garment
        self._sessions[request.name].switches.append(switch.event_id)
        return pb.SwitchGarmentResponse(accepted=pb.SwitchAccepted(event_id=switch.event_id, garment=_GARMENT))

    async def Interact(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        session = self._sessions[(await anext(requests)).attach.name]
        listening = asyncio.create_task(_listen(requests))
        try:
            yield pb.InteractResponse(event=pb.StreamEvent(started=pb.Started(session=session.message)))
            async for event in self._video(session):
                yield pb.InteractResponse(event=event)
        finally:
            listening.cancel()

    async def _video(self, session: _Session) -> AsyncIterator[Any]:
        """Every chunk at its stated time. A segment begins with each switch."""
        stated, loop = self._stated, asyncio.get_running_loop()
        origin_s = loop.time() + stated.first_s
        segment, in_segment = 0, 0
        for sequence in range(session.chunks):
            due_s = origin_s + max(0, sequence - 1) * stated.chunk_s
            late_s = stated.late_s if sequence == stated.late_chunk else 0.0
            await asyncio.sleep(max(0.0, due_s + late_s - loop.time()))
            shown, session.switches = session.switches, []
            if shown:
                segment, in_segment = segment + 1, 0
            cursor = media_pb2.Cursor(segment=segment, chunk=in_segment)
            for event_id in shown:
                applied = pb.SwitchApplied(event_id=event_id, cursor=cursor, sequence=sequence)
                yield pb.StreamEvent(switch_applied=applied)
            header = media_pb2.ChunkHeader(
                sequence=sequence, cursor=cursor, frame_count=_FPS, first_frame=sequence * _FPS, garment=_GARMENT,
                applied_event_ids=shown, media_bytes=len(_MEDIA), part_count=1,
            )  # fmt: skip
            header.pts.FromNanoseconds(round(sequence * stated.chunk_s * 1e9))
            header.duration.FromNanoseconds(round(stated.chunk_s * 1e9))
            yield pb.StreamEvent(chunk_header=header)
            yield pb.StreamEvent(media_part=media_pb2.MediaPart(sequence=sequence, data=_MEDIA))
            in_segment += 1
        yield pb.StreamEvent(ended=pb.Ended(reason=pb.END_REASON_COMPLETED))


async def _listen(requests: AsyncIterator[Any]) -> None:
    """Credits are taken and not counted: the times are stated."""
    async for _ in requests:
        pass


async def serve(stated: Stated) -> None:
    """Until SIGTERM."""
    server = grpc.aio.server()
    service = StatedService(stated)
    customization_service_pb2_grpc.add_CustomizationServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    garment_service_pb2_grpc.add_GarmentServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(f"ready grpc=127.0.0.1:{port}", flush=True)
    await stop.wait()
    await server.stop(0.5)


if __name__ == "__main__":
    asyncio.run(serve(Stated.model_validate_json(sys.argv[1])))
