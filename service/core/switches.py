"""A session's switches until they take effect: each is answered once, and at a chunk boundary the last one wins."""

from __future__ import annotations

from dataclasses import dataclass

from service.core.errors import AlreadyExists, Code, ResourceExhausted
from service.core.events import Switch, SwitchAccepted, SwitchRejected
from service.core.steps import DropSwitch, Effect, Emit

MAX_PENDING_SWITCHES = 64
_REMEMBERED_SWITCHES = 256


@dataclass(slots=True, kw_only=True)
class PendingSwitch:
    """Accepted; `ready` once its garment and prompt are encoded."""

    switch: Switch
    accepted_s: float
    ready: bool = False


class Switches:
    """Those that wait, and what was answered to the last ones. Methods append to `effects`."""

    def __init__(self, session_id: str, effects: list[Effect]) -> None:
        self._session_id = session_id
        self._effects = effects
        self._pending: list[PendingSwitch] = []
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

    def accept(self, switch: Switch, *, earliest_sequence: int, now: float, retry_after_s: float) -> SwitchAccepted:
        """Queue a switch of an event id that was not answered before.

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
        self._pending.append(PendingSwitch(switch=switch, accepted_s=now))
        self._answered[switch.event_id] = (switch, accepted)
        if len(self._answered) > _REMEMBERED_SWITCHES:
            del self._answered[next(iter(self._answered))]
        self._effects.append(Emit(session_id=self._session_id, event=accepted))
        return accepted

    def ready(self, event_id: str) -> None:
        """Its garment and prompt are encoded."""
        for pending in self._pending:
            if pending.switch.event_id == event_id:
                pending.ready = True

    def failed(self, event_id: str, reason: str, message: str) -> None:
        """Its garment or prompt could not be encoded."""
        for pending in tuple(self._pending):
            if pending.switch.event_id == event_id:
                self._reject(pending, reason, message)

    def due(self, pts_s: float) -> PendingSwitch | None:
        """Of those that wait for a boundary at `pts_s` and are ready, the one accepted last."""
        ready = (p for p in reversed(self._pending) if p.ready and p.switch.not_before_s <= pts_s)
        return next(ready, None)

    def take(self, due: PendingSwitch, *, pts_s: float, instead_of: PendingSwitch | None) -> None:
        """It takes effect: what was accepted before it for this boundary is superseded, and so is `instead_of`."""
        earlier = self._pending[: self._pending.index(due)]
        superseded = [pending for pending in earlier if pending.switch.not_before_s <= pts_s]
        for pending in (instead_of, *superseded) if instead_of else superseded:
            message = f"{due.switch.event_id!r} came later and won the chunk boundary"
            self._reject(pending, "SWITCH_SUPERSEDED", message)
        self._pending.remove(due)

    def reject_all(self, reason: str, message: str) -> None:
        for pending in tuple(self._pending):
            self._reject(pending, reason, message)

    def _reject(self, pending: PendingSwitch, reason: str, message: str) -> None:
        if pending in self._pending:
            self._pending.remove(pending)
        event = SwitchRejected(event_id=pending.switch.event_id, code=Code.ABORTED, reason=reason, message=message)
        self._effects.append(DropSwitch(session_id=self._session_id, event_id=pending.switch.event_id))
        self._effects.append(Emit(session_id=self._session_id, event=event))
