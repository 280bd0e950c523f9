"""What a session's record means: its values of every measure, and whether the session was good. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from loadtest.measures import Measure
from loadtest.objectives import SessionLimits
from loadtest.player import Playback, play
from loadtest.record import Outcome, SessionRecord, SwitchRecord
from loadtest.scenario import Player

OWN_FAULT = frozenset({"slow", "abandoning"})
"""Readers whose playback is what they make of it themselves."""
NO_FAULT = frozenset({"SWITCH_SUPERSEDED", "SESSION_ENDED"})
"""A switch was not seen because a later one won, or because the session's time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A limit that a session broke, and by what."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`broken` names the limits that the session broke, and how; `good` if there are none and it came to its end."""

    record: SessionRecord
    playback: Playback | None
    values: Mapping[Measure, tuple[float, ...]]
    broken: tuple[Broken, ...]

    @property
    def good(self) -> bool:
        return self.record.outcome is Outcome.COMPLETED and not self.broken


def judge(record: SessionRecord, player: Player, limits: SessionLimits) -> Judged:
    """See Judged."""
    playback = play(
        record.chunk_received_s,
        record.chunk_duration_s,
        start_buffer_s=player.start_buffer_s,
        resume_buffer_s=player.resume_buffer_s,
    )
    values = _values(record, playback)
    return Judged(
        record=record, playback=playback, values=values, broken=tuple(_broken(record, values, playback, limits))
    )


def _values(record: SessionRecord, playback: Playback | None) -> dict[Measure, tuple[float, ...]]:
    values: dict[Measure, tuple[float, ...]] = {}
    if record.outcome is Outcome.REJECTED:
        values[Measure.REJECTED_AFTER] = (record.ended_s - record.due_s,)
    if record.opened_s is not None:
        values[Measure.OPENED] = (record.opened_s - record.due_s,)
    if record.freed_after_s is not None:
        values[Measure.FREED_AFTER] = (record.freed_after_s,)
    if playback is None:
        return values
    values[Measure.FIRST_FRAME] = (record.chunk_received_s[0] - record.due_s,)
    if record.behaviour not in OWN_FAULT:
        values |= _playback_values(record, playback)
        values |= _switch_values(record, playback)
    return values


def _playback_values(record: SessionRecord, playback: Playback) -> dict[Measure, tuple[float, ...]]:
    received_s, duration_s = record.chunk_received_s, record.chunk_duration_s
    origin_s = received_s[0] - record.chunk_pts_s[0]
    due = zip(received_s, record.chunk_pts_s, strict=True)
    values = {
        Measure.CHUNK_LATENESS: tuple(max(0.0, at_s - (origin_s + pts_s)) for at_s, pts_s in due),
        Measure.CHUNK_INTERVAL: tuple(later_s - earlier_s for earlier_s, later_s in pairwise(received_s)),
        Measure.STALL: tuple(stall.length_s for stall in playback.stalls),
        Measure.REBUFFER_RATIO: (playback.rebuffer_ratio,),
    }
    if (took_s := received_s[-1] - received_s[0]) > 0:
        values[Measure.REALTIME_FACTOR] = (sum(duration_s[1:]) / took_s,)
    return values


def _switch_values(record: SessionRecord, playback: Playback) -> dict[Measure, tuple[float, ...]]:
    """Each stage of the switches that came to it."""
    shown_s = dict(zip(record.chunk_pts_s, playback.shown_s, strict=True))
    stages: dict[Measure, list[float]] = {}
    for switch in record.switches:
        displayed_s = None if switch.pts_s is None else shown_s.get(switch.pts_s)
        for measure, at_s in (
            (Measure.SWITCH_ACKNOWLEDGED, switch.acknowledged_s),
            (Measure.SWITCH_APPLIED, switch.applied_s),
            (Measure.SWITCH_RECEIVED, switch.received_s),
            (Measure.SWITCH_DISPLAYED, displayed_s),
        ):
            if at_s is not None:
                stages.setdefault(measure, []).append(at_s - switch.due_s)
    return {measure: tuple(values) for measure, values in stages.items()}


def _broken(
    record: SessionRecord,
    values: Mapping[Measure, tuple[float, ...]],
    playback: Playback | None,
    limits: SessionLimits,
) -> Iterator[Broken]:
    """The worst value counts. A measure without values breaks nothing: there was no switch, say."""
    at_most = {
        Measure.OPENED: limits.opened_s,
        Measure.FIRST_FRAME: limits.time_to_first_frame_s,
        Measure.CHUNK_LATENESS: limits.chunk_lateness_s,
        Measure.REBUFFER_RATIO: limits.rebuffer_ratio,
        Measure.SWITCH_ACKNOWLEDGED: limits.switch_acknowledged_s,
        Measure.SWITCH_APPLIED: limits.switch_applied_s,
        Measure.SWITCH_RECEIVED: limits.switch_received_s,
        Measure.SWITCH_DISPLAYED: limits.switch_displayed_s,
    }
    for measure, limit in at_most.items():
        worst = max(values.get(measure, ()), default=None)
        if limit is not None and worst is not None and worst > limit:
            yield Broken(name=measure, text=f"{worst:.3f} above {limit:g}")
    factor = min(values.get(Measure.REALTIME_FACTOR, ()), default=None)
    if limits.realtime_factor is not None and factor is not None and factor < limits.realtime_factor:
        yield Broken(name=Measure.REALTIME_FACTOR, text=f"{factor:.3f} below {limits.realtime_factor:g}")
    stalls = 0 if playback is None or record.behaviour in OWN_FAULT else len(playback.stalls)
    if limits.stalls is not None and stalls > limits.stalls:
        yield Broken(name="stalls", text=f"{stalls}, {limits.stalls} allowed")
    for switch in record.switches:
        if fault := switch_fault(switch):
            yield Broken(name="switch_refused", text=fault)
    limit = limits.switch_displayed_s
    if limit is not None and playback is not None and record.behaviour not in OWN_FAULT:
        for waited_s in _waited_in_vain_s(record, playback):
            if waited_s > limit:
                yield Broken(name=Measure.SWITCH_DISPLAYED, text=f"not shown within {waited_s:.3f}, {limit:g} allowed")


def _waited_in_vain_s(record: SessionRecord, playback: Playback) -> Iterator[float]:
    """Of each switch that was never shown, through nobody's refusal: until the viewer wished for another garment or the
    video was over. Such a switch has no latency, and without this the slowest would be missing among the values."""
    for switch, later in zip_longest(record.switches, record.switches[1:]):
        if switch.pts_s is None and switch_fault(switch) is None:
            until_s = playback.ended_s if later is None else min(later.due_s, playback.ended_s)
            yield until_s - switch.due_s


def switch_fault(switch: SwitchRecord) -> str | None:
    """Why a switch was refused, if that is a fault of the service."""
    return None if switch.refused in NO_FAULT else switch.refused
