"""The service as its users meet it, measured through the Python client: overhead, switch, many sessions, memory."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.in_process import in_process
from chameleon import AsyncChameleon, AsyncSession, Chunk, Pacing
from contract.tensors import Manifest
from demo.inputs import GARMENT, OTHER_GARMENT, PERSON, PROMPT
from demo.local_service import LocalService
from service.media.picture import decode_picture, fit_crop, fit_pad_white

REPOSITORY = Path("model_repository")
RUNS = 5
FULL_WINDOW = len(Manifest.read(REPOSITORY).geometry.attended_lengths()) + 2
"""Chunks until every pass attends a full window, and a few more."""
MEASURED = 20
SESSIONS = 4
SWITCHES = 5
_MEMORY_WARM_UP = 200


async def overhead(service: LocalService) -> dict[str, float | str]:
    """One unpaced session against the same graphs in one process; runs alternate, medians compared."""
    ours, theirs = [], []
    for _ in range(RUNS):
        async with _session(service, garment=GARMENT) as session:
            ours.append(_rate(await _read(session, FULL_WINDOW + MEASURED)))
        theirs.append(await asyncio.to_thread(_in_process_rate))
    mine, bare = statistics.median(ours), statistics.median(theirs)
    return {
        "scope": f"one session, full window, {MEASURED} chunks, H.264, medians of {RUNS} runs in turn",
        "service_frames_per_s": mine,
        "in_process_frames_per_s": bare,
        "ratio": mine / bare,
        "objective": "ratio >= 0.90",
    }


async def switch(service: LocalService) -> dict[str, float | str]:
    """What a garment switch costs a stream: the chunk that shows it, against the ordinary ones of the same stream."""
    costs, chunks_between, accepted_ms, first_frame_ms, longest = [], [], [], [], 0.0
    async with _session(service, garment=GARMENT) as session, _garments(service) as garments:
        arrivals = await _read(session, FULL_WINDOW)
        for index in range(SWITCHES):
            asked = time.perf_counter()
            handle = await session.switch(garments[index % 2])
            accepted_ms.append(1000 * (time.perf_counter() - asked))
            follow = await _read(session, FULL_WINDOW + 2)
            applied = await handle.applied()
            place = next(i for i, (_, chunk) in enumerate(follow) if chunk.sequence == applied.sequence)
            first_frame_ms.append(1000 * (follow[place][0] - asked))
            chunks_between.append(applied.sequence - handle.accepted.earliest_sequence)
            gaps = [later[0] - earlier[0] for earlier, later in zip([arrivals[-1], *follow], follow, strict=False)]
            ordinary = statistics.median(gap for i, gap in enumerate(gaps) if i not in (0, place))
            costs.append(gaps[place] / ordinary)
            longest = max(longest, *gaps[1:])
            arrivals = follow
    chunk_s = arrivals[-1][1].duration_s
    return {
        "scope": f"one unpaced session, {SWITCHES} switches to known garments, default policy",
        "cost_in_ordinary_chunks": statistics.median(costs),
        "longest_gap_in_chunks": longest / chunk_s,
        "chunks_later_than_the_earliest_at_most": float(max(chunks_between)),
        "accepted_ms": statistics.median(accepted_ms),
        "first_frame_received_ms": statistics.median(first_frame_ms),
        "objective": "cost <= 1.3, gap <= 1, at most 1 chunk later",
    }


async def many(service: LocalService) -> dict[str, float | str]:
    """Four unpaced sessions together against one alone; runs alternate."""
    alone, together = [], []
    for _ in range(RUNS):
        alone.append(await _rate_of(service, 1))
        together.append(await _rate_of(service, SESSIONS))
    one, four = statistics.median(alone), statistics.median(together)
    return {
        "scope": f"{SESSIONS} unpaced sessions against one, medians of {RUNS} runs in turn",
        "one_frames_per_s": one,
        "together_frames_per_s": four,
        "ratio": four / one,
        "objective": "ratio >= 1.2",
    }


async def memory(service: LocalService, chunks: int) -> dict[str, float | str]:
    """A long session: what the orchestrator holds after its first chunks and at its end."""
    orchestrator = psutil.Process(service.pid)
    async with _session(service, garment=GARMENT, max_duration_s=1.1 * chunks) as session:
        await _pass_over(session, _MEMORY_WARM_UP)
        before = _held(orchestrator)
        await _pass_over(session, chunks - _MEMORY_WARM_UP)
        after = _held(orchestrator)
    return {
        "scope": f"chunks {_MEMORY_WARM_UP} to {chunks} of one session, the orchestrator's process",
        "resident_mb_before": before["resident"] / 1e6,
        "resident_mb_growth": (after["resident"] - before["resident"]) / 1e6,
        "file_descriptors_growth": float(after["descriptors"] - before["descriptors"]),
        "shared_memory_files_growth": float(after["shared"] - before["shared"]),
        "threads_growth": float(after["threads"] - before["threads"]),
        "objective": "no growth; thread pools fill lazily",
    }


def _held(process: psutil.Process) -> dict[str, int]:
    return {
        "resident": process.memory_info().rss,
        "descriptors": process.num_fds(),
        "shared": sum(1 for path in Path("/dev/shm").iterdir() if path.name.startswith(_shared_prefix(process))),
        "threads": process.num_threads(),
    }


def _shared_prefix(process: psutil.Process) -> str:
    """Of the orchestrator's own files in /dev/shm: others may run beside it."""
    arena = next(Path(m.path) for m in process.memory_maps() if m.path.endswith("-arena"))
    return arena.name.removesuffix("arena")


@asynccontextmanager
async def _session(
    service: LocalService, *, garment: Path, max_duration_s: float | None = None
) -> AsyncIterator[AsyncSession]:
    async with (
        AsyncChameleon(service.address) as chameleon,
        chameleon.open_session(
            person=PERSON,
            garment=garment,
            prompt=PROMPT,
            seed=1,
            pacing=Pacing.UNPACED,
            max_duration_s=max_duration_s,
        ) as session,
    ):
        yield session


@asynccontextmanager
async def _garments(service: LocalService) -> AsyncIterator[list[str]]:
    async with AsyncChameleon(service.address) as chameleon:
        yield [(await chameleon.create_garment(picture)).name for picture in (OTHER_GARMENT, GARMENT)]


async def _read(session: AsyncSession, chunks: int) -> list[tuple[float, Chunk]]:
    """Chunks and when each was received whole."""
    arrivals: list[tuple[float, Chunk]] = []
    async for chunk in session:
        arrivals.append((time.perf_counter(), chunk))
        if len(arrivals) == chunks:
            break
    return arrivals


async def _pass_over(session: AsyncSession, chunks: int) -> None:
    """Read chunks and keep none."""
    for _ in range(chunks):
        await anext(session)


async def _rate_of(service: LocalService, sessions: int) -> float:
    """Frames per second of all together, between the moment the last has a full window and the first is done."""

    async def one() -> list[tuple[float, Chunk]]:
        async with _session(service, garment=GARMENT) as session:
            return await _read(session, FULL_WINDOW + MEASURED)

    streams = await asyncio.gather(*(one() for _ in range(sessions)))
    start = max(arrivals[FULL_WINDOW][0] for arrivals in streams)
    end = min(arrivals[-1][0] for arrivals in streams)
    frames = sum(chunk.frame_count for arrivals in streams for at, chunk in arrivals if start < at <= end)
    return frames / (end - start)


def _rate(arrivals: list[tuple[float, Chunk]]) -> float:
    """Frames per second behind the first full window."""
    measured = arrivals[FULL_WINDOW:]
    return sum(chunk.frame_count for _, chunk in measured[1:]) / (measured[-1][0] - measured[0][0])


def _in_process_rate() -> float:
    geometry = Manifest.read(REPOSITORY).geometry
    height, width = geometry.frame_height, geometry.frame_width
    person = fit_crop(decode_picture(PERSON.read_bytes()), height=height, width=width)
    garment = fit_pad_white(decode_picture(GARMENT.read_bytes()), height=height, width=width)
    arrivals: list[tuple[float, int]] = []
    with in_process(REPOSITORY) as graphs:
        for frames in graphs.chunks(person, garment, PROMPT, seed=1, count=FULL_WINDOW + MEASURED):
            arrivals.append((time.perf_counter(), len(frames)))
    measured = arrivals[FULL_WINDOW:]
    return sum(count for _, count in measured[1:]) / (measured[-1][0] - measured[0][0])
