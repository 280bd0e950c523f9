"""The whole road with nothing replaced: gRPC, orchestrator, real tritonserver, media."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from fashionchameleon.v1 import customization_service_pb2 as customization
from fashionchameleon.v1 import customization_service_pb2_grpc as customization_grpc
from fashionchameleon.v1 import media_pb2 as media
from numpy.typing import NDArray
from PIL import Image

from benchmarks.in_process import in_process
from contract.tensors import Manifest
from service.app import App, running
from service.config import Settings
from service.engine.launcher import triton_engine
from service.engine.triton import TritonEngine

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPOSITORY = Path(__file__).parents[2] / "model_repository"
CHUNKS = len(Manifest.read(REPOSITORY).geometry.attended_lengths()) + 2
"""More than the window holds."""


class Road:
    def __init__(self, app: App, engine: TritonEngine, stub: customization_grpc.CustomizationServiceStub) -> None:
        self.app = app
        self.engine = engine
        self.stub = stub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    settings = Settings(listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", model_repository=REPOSITORY)
    engine = triton_engine(repository=REPOSITORY, blocks=4, url=None, workdir=tmp_path_factory.mktemp("triton"))
    async with running(settings, engine) as app, grpc.aio.insecure_channel(app.grpc_address) as channel:
        yield Road(app, engine, customization_grpc.CustomizationServiceStub(channel))


def frame_sized(engine: TritonEngine, seed: int) -> NDArray[np.uint8]:
    shape = (engine.geometry.frame_height, engine.geometry.frame_width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(rgb: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "png")
    return buffer.getvalue()


def create(road: Road, *, seed: int = 5) -> customization.CreateSessionRequest:
    return customization.CreateSessionRequest(
        person=media.Picture(data=png(frame_sized(road.engine, 1))),
        garment=garment_source(road, 2),
        prompt="she turns around",
        seed=seed,
        output=customization.Output(format=media.MEDIA_FORMAT_RAW_RGB24),
        pacing=customization.PACING_MODE_UNPACED,
    )


def garment_source(road: Road, seed: int) -> customization.GarmentSource:
    return customization.GarmentSource(picture=media.Picture(data=png(frame_sized(road.engine, seed))))


class Video:
    """Frames by chunk, and the other events, of a stream read to a number of chunks."""

    def __init__(self) -> None:
        self.headers: list[media.ChunkHeader] = []
        self.chunks: list[NDArray[np.uint8]] = []
        self.applied: list[customization.SwitchApplied] = []

    async def read(self, road: Road, call: grpc.aio.StreamStreamCall, chunks: int) -> None:
        height, width = road.engine.geometry.frame_height, road.engine.geometry.frame_width
        data = b""
        while len(self.chunks) < chunks:
            message = await call.read()
            assert message is not grpc.aio.EOF
            event = message.event
            match event.WhichOneof("event"):
                case "chunk_header":
                    self.headers.append(event.chunk_header)
                    data = b""
                case "switch_applied":
                    self.applied.append(event.switch_applied)
                case "media_part":
                    data += event.media_part.data
                    if event.media_part.index + 1 == self.headers[-1].part_count:
                        self.chunks.append(np.frombuffer(data, np.uint8).reshape(-1, height, width, 3))


async def stop(call: grpc.aio.StreamStreamCall) -> None:
    await call.write(customization.InteractRequest(stop=customization.Stop()))
    while (message := await call.read()) is not grpc.aio.EOF:
        last = message.event.WhichOneof("event")
    assert last == "ended"


async def test_the_service_streams_the_frames_that_the_graphs_give_in_one_process(road: Road) -> None:
    call = road.stub.Interact(timeout=120)
    await call.write(customization.InteractRequest(create=create(road)))
    video = Video()
    await video.read(road, call, CHUNKS)
    await stop(call)
    with in_process(REPOSITORY) as graphs:
        person, garment = frame_sized(road.engine, 1), frame_sized(road.engine, 2)
        expected = list(graphs.chunks(person, garment, "she turns around", seed=5, count=CHUNKS))
    for chunk, (ours, theirs) in enumerate(zip(video.chunks, expected, strict=True)):
        assert np.array_equal(ours, theirs), f"chunk {chunk}"


async def test_a_switch_shows_from_the_announced_frame_and_not_before(road: Road) -> None:
    plain, switched = Video(), Video()
    for video, switches in ((plain, False), (switched, True)):
        call = road.stub.Interact(timeout=120)
        await call.write(customization.InteractRequest(create=create(road)))
        await video.read(road, call, 2)
        if switches:
            switch = customization.GarmentSwitch(event_id="now blue", garment=garment_source(road, 3))
            await call.write(customization.InteractRequest(switch_garment=switch))
        await video.read(road, call, 8)
        await stop(call)
    (applied,) = switched.applied
    before = np.concatenate(plain.chunks), np.concatenate(switched.chunks)
    assert np.array_equal(before[0][: applied.first_frame], before[1][: applied.first_frame])
    assert not np.array_equal(before[0][applied.first_frame], before[1][applied.first_frame])
    shown = switched.headers[applied.sequence]
    assert list(shown.applied_event_ids) == ["now blue"]
    assert (shown.cursor.segment, shown.cursor.chunk) == (1, 0)
    assert [header.cursor.segment for header in switched.headers] == sorted(
        header.cursor.segment for header in switched.headers
    )


async def test_streams_go_on_when_triton_is_killed(road: Road) -> None:
    """Two sessions in flight; neither loses, repeats or changes a frame."""
    calls = [road.stub.Interact(timeout=120) for _ in range(2)]
    videos = [Video(), Video()]
    for seed, call in enumerate(calls, start=10):
        await call.write(customization.InteractRequest(create=create(road, seed=seed)))
    await asyncio.gather(*(video.read(road, call, 3) for video, call in zip(videos, calls, strict=True)))
    assert road.engine._server is not None
    os.kill(road.engine._server.pid, signal.SIGKILL)
    await asyncio.gather(*(video.read(road, call, 10) for video, call in zip(videos, calls, strict=True)))
    for call in calls:
        await stop(call)
    with in_process(REPOSITORY) as graphs:
        person, garment = frame_sized(road.engine, 1), frame_sized(road.engine, 2)
        for seed, video in enumerate(videos, start=10):
            assert [header.sequence for header in video.headers] == list(range(10))
            expected = graphs.chunks(person, garment, "she turns around", seed=seed, count=10)
            for ours, theirs in zip(video.chunks, expected, strict=True):
                assert np.array_equal(ours, theirs)
