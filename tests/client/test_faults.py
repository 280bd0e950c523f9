"""The SDK against services that misbehave to order."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import (
    customization_service_pb2_grpc,
    garment_service_pb2,
    garment_service_pb2_grpc,
    media_pb2,
)

from chameleon import AsyncChameleon, EndReason
from chameleon.errors import (
    Aborted,
    ChameleonError,
    DeadlineExceeded,
    GarmentNotFound,
    InvalidArgument,
    ProtocolError,
    SessionLost,
    StreamTakenOver,
    Unavailable,
)
from chameleon.playout import CREDITS
from service.core import errors as service_errors
from service.rpc.status import to_status
from tests.client.conftest import FAST, serving, wanted

UNAVAILABLE = service_errors.Unavailable("ENGINE_DOWN", "down")
SESSION = pb.Session(
    name="sessions/" + "1" * 32,
    state=pb.SESSION_STATE_OPENING,
    output=pb.Output(format=media_pb2.MEDIA_FORMAT_RAW_RGB24),
    pacing=pb.PACING_MODE_UNPACED,
    policy=pb.RESCHEDULING_POLICY_REFRESH,
    width=2,
    height=2,
    frames_per_second=12,
)


class Calls(customization_service_pb2_grpc.CustomizationServiceServicer):
    """Answers each unary call with the next thing on the list: an error, or the answer. Keeps what it was sent."""

    def __init__(self, *outcomes: service_errors.ServiceError | object) -> None:
        self.outcomes = deque(outcomes)
        self.requests: list[Any] = []
        self.times_s: list[float] = []
        self.metadata: list[dict[str, Any]] = []

    async def _next(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        self.requests.append(request)
        self.times_s.append(time.monotonic())
        self.metadata.append(dict(context.invocation_metadata()))
        outcome = self.outcomes.popleft()
        if isinstance(outcome, service_errors.ServiceError):
            await context.abort_with_status(to_status(outcome))
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        return outcome

    CreateSession = GetCapacity = SwitchGarment = GetSession = DeleteSession = DeleteGarment = _next


def customization(servicer: Any) -> tuple[Any, Any]:
    return customization_service_pb2_grpc.add_CustomizationServiceServicer_to_server, servicer


async def test_an_unavailable_service_is_asked_again_with_the_same_request_id() -> None:
    created = pb.CreateSessionResponse(session=SESSION)
    calls = Calls(UNAVAILABLE, UNAVAILABLE, created, pb.DeleteSessionResponse())
    async with (
        serving(customization(calls)) as address,
        AsyncChameleon(address, retry=FAST) as chameleon,
        chameleon.open_session(**wanted()) as session,
    ):
        assert session.name == SESSION.name
    first, second, third, delete = calls.requests
    assert first == second == third
    assert len(first.request_id) == 36
    assert delete.name == SESSION.name


@pytest.mark.parametrize(
    "error",
    [
        service_errors.InvalidArgument(service_errors.Violation(field="prompt", description="bad", reason="BAD")),
        service_errors.Aborted("SESSION_LOST", "gone"),
        service_errors.FailedPrecondition("SESSION_ENDED", "over"),
        service_errors.ResourceExhausted("TENANT_QUOTA", "enough"),
    ],
    ids=lambda error: error.reason,
)
async def test_what_cannot_help_is_not_asked_again(error: service_errors.ServiceError) -> None:
    calls = Calls(error)
    async with serving(customization(calls)) as address, AsyncChameleon(address, retry=FAST) as chameleon:
        with pytest.raises(ChameleonError) as caught:
            await chameleon.capacity()
    assert caught.value.reason == error.reason
    assert len(calls.requests) == 1


async def test_violations_arrive_with_their_fields() -> None:
    violation = service_errors.Violation(field="prompt", description="has 2 tokens; 1 is the limit", reason="LONG")
    calls = Calls(service_errors.InvalidArgument(violation))
    async with serving(customization(calls)) as address, AsyncChameleon(address) as chameleon:
        with pytest.raises(InvalidArgument) as caught:
            await chameleon.capacity()
    (found,) = caught.value.violations
    assert (found.field, found.description, found.reason) == (violation.field, violation.description, "LONG")


async def test_enum_values_of_a_later_service_are_kept() -> None:
    session = pb.Session(
        state=90,
        end_reason=91,
        output=pb.Output(format=92),
        pacing=93,
        policy=94,
    )
    calls = Calls(pb.GetSessionResponse(session=session))
    async with serving(customization(calls)) as address, AsyncChameleon(address, retry=FAST) as chameleon:
        info = await chameleon.get_session("sessions/" + "1" * 32)
    assert [info.state, info.end_reason, info.format, info.pacing, info.policy] == [90, 91, 92, 93, 94]
    assert isinstance(info.end_reason, EndReason)
    assert (info.end_reason.name, info.end_reason.value) == ("UNRECOGNIZED_91", 91)
    assert pickle.loads(pickle.dumps(info)) == info


async def test_it_gives_up_after_the_attempts() -> None:
    calls = Calls(*[UNAVAILABLE] * 10)
    async with serving(customization(calls)) as address, AsyncChameleon(address, retry=FAST) as chameleon:
        with pytest.raises(Unavailable, match="ENGINE_DOWN"):
            await chameleon.capacity()
    assert len(calls.requests) == FAST.attempts


async def test_it_waits_as_long_as_the_service_asks() -> None:
    busy = service_errors.ResourceExhausted("SESSION_CAPACITY", "full", retry_after_s=0.2)
    calls = Calls(busy, pb.GetCapacityResponse(available=1))
    async with serving(customization(calls)) as address, AsyncChameleon(address, retry=FAST) as chameleon:
        assert (await chameleon.capacity()).available == 1
    first_s, second_s = calls.times_s
    assert second_s - first_s >= 0.2


async def test_a_call_ends_with_its_deadline() -> None:
    calls = Calls(asyncio.Event())
    async with serving(customization(calls)) as address, AsyncChameleon(address, timeout_s=0.1) as chameleon:
        with pytest.raises(DeadlineExceeded):
            await chameleon.capacity()


async def test_the_deadline_covers_the_retries() -> None:
    calls = Calls(*[service_errors.Unavailable("DRAINING", "later", retry_after_s=0.3)] * 10)
    async with (
        serving(customization(calls)) as address,
        AsyncChameleon(address, timeout_s=0.5, retry=FAST) as chameleon,
    ):
        with pytest.raises(Unavailable, match="DRAINING"):
            await chameleon.capacity()
    assert len(calls.requests) == 2


async def test_a_deletion_whose_answer_was_lost_is_done() -> None:
    gone = service_errors.NotFound("GARMENT_NOT_FOUND", "none")
    calls = Calls(UNAVAILABLE, gone, gone)
    add = garment_service_pb2_grpc.add_GarmentServiceServicer_to_server
    full = type("Full", (garment_service_pb2_grpc.GarmentServiceServicer,), {"DeleteGarment": calls.DeleteGarment})
    async with serving((add, full())) as address, AsyncChameleon(address, retry=FAST) as chameleon:
        await chameleon.delete_garment("garments/x")
        with pytest.raises(GarmentNotFound):
            await chameleon.delete_garment("garments/x")
    assert all(isinstance(request, garment_service_pb2.DeleteGarmentRequest) for request in calls.requests)


async def test_the_token_travels_with_calls() -> None:
    calls = Calls(pb.GetCapacityResponse())
    async with serving(customization(calls)) as address, AsyncChameleon(address, token="secret") as chameleon:
        await chameleon.capacity()
    assert calls.metadata[0]["authorization"] == "Bearer secret"


# Streams


def chunk(sequence: int, *, segment: int = 0, parts: int = 2) -> list[pb.StreamEvent]:
    """One frame of 2 x 2 pixels in some parts."""
    media = bytes([sequence]) * 12
    cut = [media[12 * i // parts : 12 * (i + 1) // parts] for i in range(parts)]
    header = media_pb2.ChunkHeader(
        sequence=sequence,
        cursor=media_pb2.Cursor(segment=segment, chunk=sequence),
        first_frame=sequence,
        frame_count=1,
        media_bytes=12,
        part_count=parts,
        frame_bytes=[12],
    )
    pieces = [media_pb2.MediaPart(sequence=sequence, index=i, data=data) for i, data in enumerate(cut)]
    return [pb.StreamEvent(chunk_header=header), *(pb.StreamEvent(media_part=piece) for piece in pieces)]


def chunks(*sequences: int) -> list[pb.StreamEvent]:
    return [event for sequence in sequences for event in chunk(sequence)]


STARTED = pb.StreamEvent(started=pb.Started(session=SESSION))
COMPLETED = pb.StreamEvent(ended=pb.Ended(reason=pb.END_REASON_COMPLETED))
LOST = pb.StreamEvent(ended=pb.Ended(reason=pb.END_REASON_LOST, message="gone"))
Script = list[pb.StreamEvent | service_errors.ServiceError]


class Streams(Calls):
    """Plays a script on each stream, and keeps where each began. A stream ends once the client has nothing more to say:
    grpc.aio hides the status of a call that ends while the client writes."""

    def __init__(self, *scripts: Script) -> None:
        super().__init__(pb.CreateSessionResponse(session=SESSION), *[pb.DeleteSessionResponse()] * 2)
        self.scripts = deque(scripts)
        self.attached: list[pb.StreamVideoRequest] = []
        self.newest = -1

    async def Interact(self, requests: Any, context: grpc.aio.ServicerContext) -> None:  # noqa: N802
        self.attached.append((await context.read()).attach)
        script, before = self.scripts.popleft(), self.newest
        granted = CREDITS if STARTED in script else 1
        for step in script:
            if isinstance(step, service_errors.ServiceError):
                await self._credits(context.read, granted + self.newest - before)
                await context.abort_with_status(to_status(step))
            await context.write(pb.InteractResponse(event=step))
            if step.HasField("media_part") and step.media_part.index == 1:
                self.newest = max(self.newest, step.media_part.sequence)
        if script[-1] in (COMPLETED, LOST):
            await _to_end(context.read)
        else:
            await self._credits(context.read, granted + self.newest - before)

    @staticmethod
    async def _credits(read: Callable[[], Any], count: int) -> None:
        while count:
            count -= (await read()).credits.chunks

    @property
    def cursors(self) -> list[tuple[int, int] | None]:
        return [(a.cursor.segment, a.cursor.chunk) if a.HasField("cursor") else None for a in self.attached]


async def play(*scripts: Script) -> tuple[list[int], EndReason, Streams]:
    """What a reader sees of the scripts: the sequence numbers of the chunks, whose bytes are checked."""
    streams, seen = Streams(*scripts), []
    async with (
        serving(customization(streams)) as address,
        AsyncChameleon(address, retry=FAST) as chameleon,
        chameleon.open_session(**wanted()) as session,
    ):
        async for received in session:
            assert received.media == bytes([received.sequence]) * 12
            seen.append(received.sequence)
    assert session.ended is not None
    return seen, session.ended.reason, streams


async def test_a_stream_that_just_stops_is_opened_again_where_it_was() -> None:
    seen, reason, streams = await play([STARTED, *chunks(0, 1)], [STARTED, *chunks(1, 2), COMPLETED])
    assert (seen, reason) == ([0, 1, 2], EndReason.COMPLETED)
    assert streams.cursors == [None, (0, 1)]


async def test_a_chunk_cut_in_two_comes_whole() -> None:
    half = chunk(1)[:2]
    seen, _, streams = await play([STARTED, *chunks(0), *half, UNAVAILABLE], [STARTED, *chunks(0, 1), COMPLETED])
    assert seen == [0, 1]
    assert streams.cursors == [None, (0, 0)]


async def test_a_stream_cut_before_its_first_chunk_begins_at_the_oldest() -> None:
    seen, _, streams = await play([STARTED, UNAVAILABLE], [UNAVAILABLE], [STARTED, *chunks(0), COMPLETED])
    assert seen == [0]
    assert streams.cursors == [None, None, None]


async def test_chunks_sent_twice_are_dropped() -> None:
    seen, _, _ = await play([STARTED, *chunks(0, 1, 2), UNAVAILABLE], [STARTED, *chunks(0, 1, 2, 3), COMPLETED])
    assert seen == [0, 1, 2, 3]


async def test_a_chunk_between_two_failures_starts_the_count_anew() -> None:
    scripts: list[Script] = [[STARTED, *chunks(*range(max(0, n - 1), n + 1)), UNAVAILABLE] for n in range(8)]
    seen, _, _ = await play(*scripts, [STARTED, *chunks(7), COMPLETED])
    assert seen == list(range(8))


@pytest.mark.parametrize(
    ("scripts", "error", "streams"),
    [
        ([[STARTED, *chunks(0), UNAVAILABLE]] + [[UNAVAILABLE]] * 5, Unavailable, FAST.attempts),
        ([[STARTED, *chunks(0), service_errors.Aborted("STREAM_TAKEN_OVER", "other")]], StreamTakenOver, 1),
        ([[STARTED, *chunks(0), service_errors.Aborted("WHATEVER", "no")]], Aborted, 1),
        ([[STARTED, *chunks(0), LOST]], SessionLost, 1),
        ([[STARTED, *chunks(0, 2)]], ProtocolError, 1),
    ],
    ids=["down", "taken over", "aborted", "lost", "gap"],
)
async def test_what_a_new_stream_cannot_mend_comes_out(
    scripts: list[Script], error: type[ChameleonError], streams: int
) -> None:
    served = Streams(*scripts)
    async with (
        serving(customization(served)) as address,
        AsyncChameleon(address, retry=FAST) as chameleon,
        chameleon.open_session(**wanted()) as session,
    ):
        assert (await anext(session)).sequence == 0
        with pytest.raises(error):
            await anext(session)
    assert len(served.attached) == streams


async def test_events_of_a_later_version_are_passed_over() -> None:
    seen, _, _ = await play([STARTED, pb.StreamEvent(), *chunks(0), COMPLETED])
    assert seen == [0]


class Counting(Streams):
    """Sends a chunk for each credit, and notes how many credits were ever outstanding."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.most = 0
        self.granted = 0

    async def Interact(self, requests: Any, context: grpc.aio.ServicerContext) -> None:  # noqa: N802
        await context.read()
        await context.write(pb.InteractResponse(event=STARTED))
        credits: asyncio.Queue[None] = asyncio.Queue()

        async def receive() -> None:
            while (request := await context.read()) is not grpc.aio.EOF:
                for _ in range(request.credits.chunks):
                    credits.put_nowait(None)
                self.granted += request.credits.chunks
                self.most = max(self.most, credits.qsize())

        receiving = asyncio.create_task(receive())
        for sequence in range(self.count):
            await credits.get()
            for event in chunk(sequence):
                await context.write(pb.InteractResponse(event=event))
        await context.write(pb.InteractResponse(event=COMPLETED))
        await receiving


async def _to_end(read: Callable[[], Any]) -> None:
    while await read() is not grpc.aio.EOF:
        pass


async def test_credits_go_out_as_chunks_are_taken_and_never_more_than_three() -> None:
    counting = Counting(20)
    async with (
        serving(customization(counting)) as address,
        AsyncChameleon(address) as chameleon,
        chameleon.open_session(**wanted()) as session,
    ):
        seen = [received.sequence async for received in session]
    assert seen == list(range(20))
    assert counting.most <= CREDITS
    assert counting.granted == 20 + CREDITS


async def test_a_status_that_is_not_ours_still_makes_an_error() -> None:
    class Broken(customization_service_pb2_grpc.CustomizationServiceServicer):
        codes = itertools.cycle([b"\xff", b""])

        async def GetCapacity(self, request: Any, context: grpc.aio.ServicerContext) -> None:  # noqa: N802
            context.set_trailing_metadata((("grpc-status-details-bin", next(self.codes)),))
            await context.abort(grpc.StatusCode.INTERNAL, "a proxy's")

    async with serving(customization(Broken())) as address, AsyncChameleon(address) as chameleon:
        for _ in range(2):
            with pytest.raises(ChameleonError, match="INTERNAL: a proxy's"):
                await chameleon.capacity()
