"""Drives one session by its plan, as a customer's program would, and notes what happens when.

Nothing is asked twice: a retry would hide what the service did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chameleon import AsyncChameleon, AsyncSession, Chunk, MediaFormat, Pacing, SessionState
from chameleon.errors import ChameleonError, ResourceExhausted, SwitchRejected
from loadtest.notes import Notes, SwitchNotes
from loadtest.plan import SessionPlan, SwitchPlan
from loadtest.record import Outcome, SessionRecord
from loadtest.scenario import Patience
from loadtest.traffic import AbandoningReader, PromptReader, ReconnectingReader, SlowReader

_FORMATS = {"h264": MediaFormat.H264, "jpeg": MediaFormat.JPEG, "raw": MediaFormat.RAW}
_PACINGS = {"realtime": Pacing.REALTIME, "unpaced": Pacing.UNPACED}
_GONE_GRACE_S = 1.0
"""How long an abandoned session may outlive its stream; asked of the service."""
_FREED_WITHIN_S = 15.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplies:
    """What sessions are opened with: pictures' bytes by path, and by tenant the names of garments known before."""

    pictures: Mapping[Path, bytes]
    garments: Mapping[str, Mapping[Path, str]]

    def garment(self, tenant: str, picture: Path, *, upload: bool = False) -> str | bytes:
        return self.pictures[picture] if upload else self.garments[tenant][picture]


class SessionDriver:
    """One session. `now` tells the seconds from the run's start; `run` never raises but for a fault of our own."""

    def __init__(
        self,
        plan: SessionPlan,
        *,
        due_s: float,
        client: AsyncChameleon,
        supplies: Supplies,
        patience: Patience,
        now: Callable[[], float],
        on_opened: Callable[[], None],
        on_chunk: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._client = client
        self._supplies = supplies
        self._patience = patience
        self._now = now
        self._on_opened, self._on_chunk = on_opened, on_chunk
        self._notes = Notes(plan, due_s=due_s, began_s=now())
        self._switching: set[asyncio.Task[None]] = set()

    async def run(self, *, worker: int) -> SessionRecord:
        """Drive it to its end. Cancelled, it ends the session and is `unfinished`."""
        outcome, reason, message = Outcome.COMPLETED, "", ""
        try:
            await self._drive()
        except ResourceExhausted as error:
            outcome = Outcome.REJECTED if self._notes.opened_s is None else Outcome.FAILED
            reason, message = error.reason or error.code.name, error.message
        except ChameleonError as error:
            outcome, reason, message = Outcome.FAILED, error.reason or error.code.name, error.message
        except _Stuck as stuck:
            outcome, reason, message = Outcome.FAILED, "NO_CHUNK_IN_TIME", str(stuck)
        except _Short as short:
            outcome, reason, message = Outcome.FAILED, "CUT_SHORT", str(short)
        except _NotFreed as not_freed:
            outcome, reason, message = Outcome.FAILED, "NOT_FREED", str(not_freed)
        except asyncio.CancelledError:
            outcome, reason = Outcome.UNFINISHED, "RUN_OVER"
        finally:
            for task in self._switching:
                task.cancel()
        return self._notes.record(worker=worker, ended_s=self._now(), outcome=outcome, reason=reason, message=message)

    async def _drive(self) -> None:
        plan = self._plan
        reader = plan.reader
        grace_s = None
        if isinstance(reader, ReconnectingReader):
            grace_s = reader.away_s + self._patience.chunk_s
        elif isinstance(reader, AbandoningReader):
            grace_s = _GONE_GRACE_S
        async with self._client.open_session(
            person=self._supplies.pictures[plan.person],
            garment=self._supplies.garment(plan.tenant, plan.garment, upload=plan.upload),
            prompt=plan.prompt,
            seed=plan.seed,
            format=_FORMATS[plan.format],
            pacing=_PACINGS[plan.pacing],
            max_duration_s=plan.length_s,
            detach_grace_s=grace_s,
            timeout_s=self._patience.open_s,
        ) as session:
            self._notes.opened_s = self._now()
            self._on_opened()
            await self._read(session)

    async def _read(self, session: AsyncSession) -> None:
        match self._plan.reader:
            case PromptReader():
                await self._read_to_end(session)
            case SlowReader(speed=speed):
                await self._read_slowly(session, speed)
            case AbandoningReader(after_s=after_s):
                await self._abandon(session, after_s)
            case ReconnectingReader(every_s=every_s, away_s=away_s):
                await self._reconnect(session, every_s, away_s)

    async def _read_to_end(self, session: AsyncSession) -> None:
        while await self._next(session) is not None:
            pass
        self._whole(session)

    async def _read_slowly(self, session: AsyncSession, speed: float) -> None:
        leave_s = self._now() + self._plan.length_s
        while (chunk := await self._next(session)) is not None:
            if (left_s := leave_s - self._now()) <= 0:
                return
            await asyncio.sleep(min(chunk.duration_s / speed, left_s))

    async def _abandon(self, session: AsyncSession, after_s: float) -> None:
        """A cancelled read cuts the stream; nothing is said to the service."""
        await self._next(session)
        leave_s = self._now() + after_s
        with suppress(_TimeIsUp):
            while await self._next(session, until_s=leave_s) is not None:
                pass
            return  # the video was shorter than the reader's patience
        self._notes.cuts_s.append(self._now())
        while (await self._client.get_session(session.name)).state is not SessionState.ENDED:
            if self._now() > self._notes.cuts_s[-1] + _FREED_WITHIN_S:
                raise _NotFreed(f"the service still keeps the session {_FREED_WITHIN_S:g} s after its reader was gone")
            await asyncio.sleep(_POLL_S)
        self._notes.freed_after_s = self._now() - self._notes.cuts_s[-1]

    async def _reconnect(self, session: AsyncSession, every_s: float, away_s: float) -> None:
        """The next read behind a cut attaches again, from the chunk due next."""
        await self._next(session)
        while True:
            cut_s = self._now() + every_s
            try:
                while await self._next(session, until_s=cut_s) is not None:
                    pass
                break
            except _TimeIsUp:
                self._notes.cuts_s.append(self._now())
                await asyncio.sleep(away_s)
        self._whole(session)

    async def _next(self, session: AsyncSession, *, until_s: float | None = None) -> Chunk | None:
        """The next chunk, noted; None at the end.

        Raises:
            _TimeIsUp: it was not there by `until_s`; the stream is cut.
            _Stuck: it was not there in time.
        """
        patience_s = self._patience.open_s if not self._notes.chunk_received_s else self._patience.chunk_s
        limit_s = patience_s if until_s is None else min(patience_s, until_s - self._now())
        try:
            async with asyncio.timeout(max(0.0, limit_s)):
                chunk = await anext(session, None)
        except TimeoutError:
            if until_s is not None and self._now() >= until_s:
                raise _TimeIsUp from None
            raise _Stuck(f"no chunk came for {patience_s:g} s") from None
        if chunk is not None:
            first = not self._notes.chunk_received_s
            self._notes.chunk(chunk, at_s=self._now())
            self._on_chunk()
            if first:
                self._begin_switching(session)
        return chunk

    def _whole(self, session: AsyncSession) -> None:
        received_s = self._notes.received_video_s
        chunk_s = max(self._notes.chunk_duration_s, default=0.0)
        if received_s + chunk_s < self._plan.length_s:
            reason = "unknown" if session.ended is None else session.ended.reason.name
            raise _Short(f"{received_s:.2f} s of video came, {self._plan.length_s:.2f} s were asked for ({reason})")

    # Switches

    def _begin_switching(self, session: AsyncSession) -> None:
        first_frame_s = self._notes.chunk_received_s[0]
        for number, plan in enumerate(self._plan.switches):
            notes = SwitchNotes(due_s=first_frame_s + plan.at_s)
            task = asyncio.create_task(self._switch(session, number, plan, notes))
            self._switching.add(task)

    async def _switch(self, session: AsyncSession, number: int, plan: SwitchPlan, notes: SwitchNotes) -> None:
        await asyncio.sleep(max(0.0, notes.due_s - self._now()))
        event_id = f"switch-{number}"
        self._notes.switches[event_id] = notes
        notes.sent_s = self._now()
        try:
            switch = await session.switch(
                self._supplies.garment(self._plan.tenant, plan.garment),
                event_id=event_id,
                timeout_s=self._patience.open_s,
            )
            notes.acknowledged_s = self._now()
            await switch.applied()
            notes.applied_s = self._now()
        except SwitchRejected as error:
            notes.refused = error.reason
        except ChameleonError as error:
            notes.refused = error.reason or error.code.name


class _TimeIsUp(Exception):
    """The reader's own plan says to let go now."""


class _Stuck(Exception):
    """The stream stands still."""


class _Short(Exception):
    """The session ended before its video was whole."""


class _NotFreed(Exception):
    """The service keeps what it should have let go."""
