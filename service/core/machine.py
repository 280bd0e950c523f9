"""The life of a session as one transition table."""

from __future__ import annotations

from enum import Enum, auto

from service.core.errors import FailedPrecondition
from service.core.events import State


class Input(Enum):
    OPENED = auto()
    """Pictures and prompt are encoded."""
    PAUSE = auto()
    RESUME = auto()
    DRAIN = auto()
    END = auto()


_TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.OPENING, Input.OPENED): State.STREAMING,
    (State.OPENING, Input.DRAIN): State.OPENING,  # drains once it is open: see Session.opened
    (State.OPENING, Input.END): State.ENDED,
    (State.STREAMING, Input.PAUSE): State.PAUSED,
    (State.STREAMING, Input.RESUME): State.STREAMING,
    (State.STREAMING, Input.DRAIN): State.DRAINING,
    (State.STREAMING, Input.END): State.ENDED,
    (State.PAUSED, Input.PAUSE): State.PAUSED,
    (State.PAUSED, Input.RESUME): State.STREAMING,
    (State.PAUSED, Input.DRAIN): State.DRAINING,
    (State.PAUSED, Input.END): State.ENDED,
    (State.DRAINING, Input.RESUME): State.DRAINING,
    (State.DRAINING, Input.DRAIN): State.DRAINING,
    (State.DRAINING, Input.END): State.ENDED,
    (State.ENDED, Input.DRAIN): State.ENDED,
    (State.ENDED, Input.END): State.ENDED,
}


def transition(state: State, event: Input) -> State:
    """The state after `event`; FailedPrecondition with SESSION_<STATE> if the table has no such move."""
    try:
        return _TRANSITIONS[state, event]
    except KeyError:
        message = f"the session is {state.name.lower()}: it cannot {event.name.lower()}"
        raise FailedPrecondition(f"SESSION_{state.name}", message) from None
