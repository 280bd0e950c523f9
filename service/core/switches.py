"""A session's switches until they take effect: each is answered once, and at a chunk boundary the last one wins."""

from __future__ import annotations

from dataclasses import dataclass

from service.core.errors import AlreadyExists, Code, ResourceExhausted
from service.core.events import Cursor, Switch, SwitchAccepted, SwitchApplied, SwitchRejected
from service.core.steps import DropSwitch, Effect, Emit

MAX_PENDING_SWITCHES = 64
_REMEMBERED_SWITCHES = 256


@dataclass(slots=True, kw_only=True)
class PendingSwitch:
    """Accepted; `ready` once its garment and prompt are encoded.

    Attributes:
        due_s: since when it waits for the next boundary; None while that lies before its `not_before_s`.
    """

    switch: Switch
    accepted_s: float
    due_s: float | None
    ready: bool = False


class Switches:
    """Those that wait, and what was answered to the last ones. Methods append to `effects`."""

    def __init__(self, session_id: str, effects: list[Effect]) -> None:
        self._session_id = session_id
        self._effects = effects
        self._pending: list[PendingSwitch] = []
        self.applying: PendingSwitch | None = None
        """Begun: it takes effect with the next chunk, unless a later one comes before that."""
        self._answered: dict[str, tuple[Switch, SwitchAccepted]] = {}

    def answered(self, switch: Switch) -> SwitchAccepted | None:
        """What was answered to the same event id before.

        Raises:
            AlreadyExists: the event id named another switch.
        """
        if switch.event_id not in self._answered:
            return None
        known, accepted = self._answered[switch.event_id]
        if known != switch:
            raise AlreadyExists(
                "EVENT_ID_REUSED",
                f"event id {switch.event_id!r} named another switch before",
                resource=self._session_id,
            )
        return accepted

    def knows(self, event_id: str) -> bool:
        return event_id in self._answered

    def accept(
        self, switch: Switch, *, earliest_sequence: int, pts_s: float, now: float, retry_after_s: float
    ) -> SwitchAccepted:
        """Queue a switch of an event id that was not answered before.

        Args:
            pts_s: where the next boundary lies.

        Raises:
            ResourceExhausted: `MAX_PENDING_SWITCHES` wait already; `retry_after_s` is a chunk's time.
        """
        if len(self._pending) >= MAX_PENDING_SWITCHES:
            raise ResourceExhausted(
                "TOO_MANY_SWITCHES",
                f"{MAX_PENDING_SWITCHES} switches are waiting already, the limit",
                retry_after_s=retry_after_s,
            )
        accepted = SwitchAccepted(event_id=switch.event_id, garment=switch.garment, earliest_sequence=earliest_sequence)
        due_s = now if switch.not_before_s <= pts_s else None
        self._pending.append(PendingSwitch(switch=switch, accepted_s=now, due_s=due_s))
        self._answered[switch.event_id] = (switch, accepted)
        if len(self._answered) > _REMEMBERED_SWITCHES:
            del self._answered[next(known for known in self._answered if self._waiting(known) is None)]
        self._effects.append(Emit(session_id=self._session_id, event=accepted))
        return accepted

    def ready(self, event_id: str) -> None:
        """Its garment and prompt are encoded."""
        if (waiting := self._waiting(event_id)) is not None:
            waiting.ready = True

    def failed(self, event_id: str, reason: str, message: str) -> None:
        """Its garment or prompt could not be encoded."""
        if (waiting := self._waiting(event_id)) is not None:
            self._reject(waiting, reason, message)

    def boundary_moved(self, pts_s: float, now: float) -> None:
        """A chunk begins: the next boundary lies at `pts_s`."""
        for pending in self._pending:
            if pending.due_s is None and pending.switch.not_before_s <= pts_s:
                pending.due_s = now

    def due(self) -> PendingSwitch | None:
        """Of those that wait for the next boundary and are ready, the one accepted last."""
        return next((p for p in reversed(self._pending) if p.ready and p.due_s is not None), None)

    def begin(self, due: PendingSwitch) -> None:
        """It takes effect: what was accepted before it for this boundary is superseded, `applying` first."""
        earlier = self._pending[: self._pending.index(due)]
        superseded = [pending for pending in earlier if pending.due_s is not None]
        for pending in (self.applying, *superseded) if self.applying else superseded:
            message = f"{due.switch.event_id!r} came later and won the chunk boundary"
            self._reject(pending, "SWITCH_SUPERSEDED", message)
        self._pending.remove(due)
        self.applying = due

    def applied(
        self, *, cursor: Cursor, sequence: int, pts_s: float, first_frame: int, now: float, ran_since_s: float
    ) -> SwitchApplied | None:
        """A chunk begins: what it shows first, if it begins a segment.

        Args:
            ran_since_s: when the session's client last let it go on.
        """
        begun, self.applying = self.applying, None
        if begun is None:
            return None
        assert begun.due_s is not None
        return SwitchApplied(
            event_id=begun.switch.event_id,
            cursor=cursor,
            sequence=sequence,
            pts_s=pts_s,
            first_frame=first_frame,
            waited_s=now - begun.accepted_s,
            since_s=max(begun.due_s, ran_since_s),
        )

    def reject_all(self, reason: str, message: str) -> None:
        """None takes effect any more, one that has begun included."""
        begun, self.applying = self.applying, None
        for pending in (*((begun,) if begun else ()), *self._pending):
            self._reject(pending, reason, message)

    def _waiting(self, event_id: str) -> PendingSwitch | None:
        return next((pending for pending in self._pending if pending.switch.event_id == event_id), None)

    def _reject(self, pending: PendingSwitch, reason: str, message: str) -> None:
        if pending in self._pending:
            self._pending.remove(pending)
        event = SwitchRejected(event_id=pending.switch.event_id, code=Code.ABORTED, reason=reason, message=message)
        self._effects.append(DropSwitch(session_id=self._session_id, event_id=pending.switch.event_id))
        self._effects.append(Emit(session_id=self._session_id, event=event))
