"""A try-on, measured."""

from __future__ import annotations

import pytest

from chameleon import AsyncChameleon, Chunk, EndReason, MediaFormat, SessionState
from chameleon.errors import GarmentNotFound, SessionEnded
from chameleon.tryon import PlannedSwitch, run
from tests.client.conftest import FAST, png, serving
from tests.client.test_faults import COMPLETED, STARTED, Streams, customization


async def test_a_try_on_reports_what_it_saw(chameleon: AsyncChameleon) -> None:
    chunks: list[Chunk] = []
    coat = await chameleon.create_garment(png(98))
    report = await run(
        chameleon,
        person=png(50),
        garment=png(10),
        seconds=14.0,
        seed=3,
        format=MediaFormat.RAW,
        switches=[PlannedSwitch(at_s=6.0, garment=coat.name), PlannedSwitch(at_s=1.0, garment=png(99))],
        on_chunk=chunks.append,
    )
    assert report.frames == sum(chunk.frame_count for chunk in chunks)
    assert (report.chunks, report.session.seed) == (len(chunks), 3)
    assert report.end_reason is EndReason.COMPLETED
    assert report.media_bytes == sum(len(chunk.media) for chunk in chunks)
    assert 14.0 <= report.video_s < 15.0
    assert 0.0 < report.time_to_first_frame_s < report.wall_s
    assert report.frames_per_second is not None
    assert report.realtime_factor == report.frames_per_second / report.session.frames_per_second
    first, second = report.switches
    assert (first.asked_at_s, second.garment) == (1.75, coat.name)
    for switch in report.switches:
        shown = next(chunk for chunk in chunks if chunk.garment == switch.garment)
        assert (switch.sequence, switch.first_frame, switch.pts_s) == (shown.sequence, shown.first_frame, shown.pts_s)
        assert switch.rejected is None
        assert switch.applied_s is not None
        assert switch.first_frame_s is not None
        assert 0.0 < switch.accepted_s < switch.applied_s <= switch.first_frame_s


async def test_a_switch_that_comes_too_late_is_reported_as_refused(chameleon: AsyncChameleon) -> None:
    """The last chunk is made before it is asked for."""
    report = await run(
        chameleon,
        person=png(50),
        garment=png(10),
        seconds=2.0,
        switches=[PlannedSwitch(at_s=1.75, garment=png(99))],
    )
    assert len(report.switches) + report.switches_too_late == 1
    assert all("SESSION_ENDED" in (switch.rejected or "") for switch in report.switches)


async def test_without_a_length_the_video_runs_five_seconds_beyond_the_last_switch(chameleon: AsyncChameleon) -> None:
    report = await run(chameleon, person=png(50), garment=png(10), switches=[PlannedSwitch(at_s=0.0, garment=png(9))])
    assert 5.0 <= report.video_s < 6.0
    assert report.switches[0].asked_at_s == 0.0


async def test_plans_that_cannot_be_are_refused(chameleon: AsyncChameleon) -> None:
    with pytest.raises(ValueError, match="beyond the end"):
        await run(
            chameleon,
            person=png(1),
            garment=png(2),
            seconds=2.0,
            switches=[PlannedSwitch(at_s=2.0, garment=png(9))],
        )
    with pytest.raises(ValueError, match="before the video"):
        PlannedSwitch(at_s=-1.0, garment=png(9))


async def test_a_session_that_ends_before_its_first_frame_is_an_error() -> None:
    async with (
        serving(customization(Streams([STARTED, COMPLETED]))) as address,
        AsyncChameleon(address, retry=FAST) as chameleon,
    ):
        with pytest.raises(SessionEnded, match="before its first frame: completed"):
            await run(chameleon, person=png(1), garment=png(2), seconds=5.0)


async def test_an_unknown_garment_ends_the_try_on_with_its_session(chameleon: AsyncChameleon) -> None:
    unknown = PlannedSwitch(at_s=1.0, garment="garments/" + "0" * 32)
    with pytest.raises(GarmentNotFound):
        await run(chameleon, person=png(1), garment=png(2), seconds=5.0, switches=[unknown])
    (session,) = [session async for session in chameleon.list_sessions()]
    assert session.state is SessionState.ENDED
