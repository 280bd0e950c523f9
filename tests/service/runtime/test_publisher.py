"""What the publisher measures of switches, alone."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.core.events import ChunkInfo, ChunkReady, Cursor, SessionConfig, SwitchApplied, Timings
from service.core.steps import EncodeMedia, Step, StepKind
from service.media.video import RawEncoder
from service.runtime.garments import GarmentStore, NewGarment
from service.runtime.publisher import Publisher
from service.runtime.session_data import SessionData
from service.runtime.tracer import NoTracer
from tests.service.runtime.conftest import Recorder, picture


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def data() -> AsyncIterator[SessionData]:
    async def encode(rgb: object) -> np.ndarray:
        return np.zeros(1, np.float32)

    store, garment = GarmentStore(encode), NewGarment.of(b"red", picture(10))
    config = SessionConfig(tenant="t", garment=garment.id, prompt="p", seed=1)
    worn = store.claim("t", garment.id, garment)
    yield SessionData(config=config, encoder=RawEncoder(64, 64), worn=worn, asked_s=0.0)
    await store.close()


def chunk(number: int, since_s: float, data: SessionData) -> EncodeMedia:
    """A decoded chunk that shows a switch first."""
    step = Step(
        id=number, session_id="s", block=0, kind=StepKind.DENOISE, deadline_s=0, runnable_s=0, sequence=number,
        segment=number, chunk=0,
    )  # fmt: skip
    data.tempo.step_began(step, 0.0)
    data.frames[number] = np.zeros((1, 64, 64, 3), np.uint8)
    cursor, event_id = Cursor(segment=number, chunk=0), f"e{number}"
    info = ChunkInfo(
        sequence=number,
        cursor=cursor,
        pts_s=float(number),
        duration_s=1.0,
        first_frame=12 * number,
        frame_count=1,
        garment="g",
        applied_event_ids=(event_id,),
        timings=Timings(),
    )
    applied = SwitchApplied(
        event_id=event_id, cursor=cursor, sequence=number, pts_s=1.0, first_frame=0, waited_s=9.0, since_s=since_s
    )
    return EncodeMedia(session_id="s", info=info, before=(applied,))


async def test_each_switch_is_measured_from_its_own_time_even_if_the_next_began_before_it_was_shown(
    data: SessionData,
) -> None:
    clock, recorder = Clock(), Recorder()
    with ThreadPoolExecutor(1) as threads:
        publisher = Publisher(observer=recorder, tracer=NoTracer(), clock=clock, threads=threads)
        effects = [chunk(0, 1.0, data), chunk(1, 5.0, data)]  # both have begun
        for clock.now_s, effect in zip((6.0, 7.0), effects, strict=True):
            await publisher.publish(effect, data)
    chunks = [event for index in range(data.log.end) if isinstance(event := data.log.at(index), ChunkReady)]
    for clock.now_s, event in zip((8.0, 9.0), chunks, strict=True):
        publisher.sent("s", data, event)
    assert recorder.switches == [("applied", 5.0), ("applied", 2.0), ("sent", 7.0), ("sent", 4.0)]


async def test_nothing_follows_the_end(data: SessionData) -> None:
    """It was told before the chunk's turn came, and while the next one was being encoded."""
    with ThreadPoolExecutor(1) as threads:
        publisher = Publisher(observer=Recorder(), tracer=NoTracer(), clock=Clock(), threads=threads)
        effects = [chunk(number, 0.0, data) for number in range(2)]
        encode = data.encoder.encode

        def meanwhile(*arguments: object, **options: object) -> object:
            data.over = True
            return encode(*arguments, **options)  # type: ignore[arg-type]

        data.encoder.encode = meanwhile  # type: ignore[method-assign, assignment]
        for effect in effects:
            await publisher.publish(effect, data)
    assert data.log.end == 0
    assert list(data.frames) == [1], "what is not told is not encoded either"
