"""KV slots and rescheduling: which slots a pass attends, at which positions, and which it writes.

A *slot* holds the keys and values of one latent frame, in all layers. A session's block has W slots:

    0          1        2 .. 2+sink-1   2+sink .. S_max-1   S_max .. W-1
    reference  garment  sink            recent (a ring)     staging

(`KEEP_MOTION` starts a segment with one chunk of old history in the sink's place; the new segment's sink follows it.)

What is attended is always the contiguous prefix [0, S). A chunk's clean pass writes behind that prefix, at [S, S+F):
the next free slots while the window fills, the staging slots once it is full. The next plan then *moves* staging
over the oldest recent chunk. So no pass writes what it reads, and any step can be repeated after a crash.
Attention is a set operation over cached keys (their order in memory does not matter), and keys are cached before
RoPE, so a slot's position is a number handed in with the pass.

All functions are pure: they take a `CacheState` and return a plan that carries the state after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from contract.geometry import CONDITION_FRAMES, StudentGeometry

REFERENCE_SLOT = 0
GARMENT_SLOT = 1


class Role(StrEnum):
    REFERENCE = "reference"
    GARMENT = "garment"
    SINK = "sink"
    RECENT = "recent"


class Policy(StrEnum):
    """What a garment switch does to the cache (model.md section 4). The first three are the paper's ablation."""

    REFRESH = "refresh"
    REFRESH_WITHDRAW = "refresh+withdraw"
    REFRESH_WITHDRAW_DISENTANGLE = "refresh+withdraw+disentangle"
    KEEP_MOTION = "keep_motion"
    """Ours: like the default, but the last chunk stays attended, so that the motion's direction is not lost."""

    @property
    def replaces_reference(self) -> bool:
        """True if the last decoded frame becomes the new reference."""
        return self in (Policy.REFRESH_WITHDRAW_DISENTANGLE, Policy.KEEP_MOTION)

    @property
    def restarts_video(self) -> bool:
        """True if temporal positions and the VAE decoder start anew: the next latent decodes to one frame."""
        return self in (Policy.REFRESH_WITHDRAW, Policy.REFRESH_WITHDRAW_DISENTANGLE)


class PositionMode(StrEnum):
    """How slots get temporal RoPE positions; the same until the first eviction."""

    ABSOLUTE = "absolute"
    """Latent frame j of the segment lies at 2 + j, as in the authors' code; ends with the RoPE table."""
    RELATIVE = "relative"
    """Positions count what is attended, oldest first, so they stay below W however long the stream runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What lies in a slot.

    Attributes:
        role: what the frame is attended as.
        segment: the segment that wrote it; a withdrawn frame's segment never shows up again.
        frame: latent frame within the segment's run of positions; -1 for the reference and the garment.
    """

    role: Role
    segment: int
    frame: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheState:
    """The cache of one session: `slots[i]` is what lies in attended slot i; `staged` waits behind a full window."""

    geometry: StudentGeometry
    position_mode: PositionMode = PositionMode.RELATIVE
    slots: tuple[Slot, ...] = ()
    staged: tuple[Slot, ...] = ()
    segment: int = -1
    chunk: int = 0
    """The next chunk, counted within the segment."""
    frame: int = 0
    """The next latent frame within the run of positions: it goes on over switches that keep history."""

    @property
    def full(self) -> bool:
        """The last chunk attended all that the window holds: the next ones cost as much, and none costs more."""
        return bool(self.staged)

    def __post_init__(self) -> None:
        assert len(self.slots) <= self.geometry.max_attended_frames
        assert not self.staged or len(self.slots) == self.geometry.max_attended_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class PassPlan:
    """Slots and positions of one pass over F latent frames.

    Attributes:
        moves: (source, destination) slot copies to make before the pass, in order; harmless when repeated.
        past_positions: S temporal positions, of slots 0 .. S-1.
        positions: F temporal positions, of the frames that pass through the network.
        write_slot: first of the F slots that take the new keys and values, or None.
    """

    moves: tuple[tuple[int, int], ...] = ()
    past_positions: tuple[int, ...]
    positions: tuple[int, ...]
    write_slot: int | None = None

    @property
    def attended(self) -> int:
        """S: the number of cached latent frames attended."""
        return len(self.past_positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillPlan:
    """A pass at timestep 0 over condition latents: (reference, garment), or the garment alone."""

    conditions: tuple[Role, ...]
    condition_pass: PassPlan
    after: CacheState

    @property
    def restarts_video(self) -> bool:
        """True if the next chunk's first latent decodes to a single frame: no history precedes it, whatever the policy.

        So it is before the first chunk, and where a switch that withdrew history was overtaken before its first chunk.
        """
        return self.after.frame == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPlan:
    """The passes of one chunk: `denoise` for each denoising pass (moves with the first), `commit` the clean pass."""

    segment: int
    chunk: int
    denoise: PassPlan
    commit: PassPlan
    after: CacheState


def plan_start(geometry: StudentGeometry, position_mode: PositionMode = PositionMode.RELATIVE) -> PrefillPlan:
    """Joint prefill of reference and garment into an empty cache: segment 0."""
    return _joint_prefill(CacheState(geometry=geometry, position_mode=position_mode), kept=())


def plan_chunk(state: CacheState) -> ChunkPlan:
    """The next chunk of the segment.

    Raises:
        ValueError: before the first prefill; in absolute mode, past the end of the RoPE table.
    """
    if not state.slots:
        raise ValueError("the cache holds no conditions yet: prefill first")
    slots, moves = _settle(state)
    count = state.geometry.chunk_frames
    past_positions = _past_positions(state, slots)
    positions = _chunk_positions(state, slots)
    first = len(slots)
    in_sink = sum(slot.role is Role.SINK for slot in slots) < state.geometry.sink_frames
    role = Role.SINK if in_sink else Role.RECENT
    new = tuple(Slot(role=role, segment=state.segment, frame=state.frame + i) for i in range(count))
    full = first == state.geometry.max_attended_frames
    after = replace(
        state,
        slots=slots if full else slots + new,
        staged=new if full else (),
        chunk=state.chunk + 1,
        frame=state.frame + count,
    )
    denoise = PassPlan(moves=moves, past_positions=past_positions, positions=positions)
    commit = PassPlan(past_positions=past_positions, positions=positions, write_slot=first)
    return ChunkPlan(segment=state.segment, chunk=state.chunk, denoise=denoise, commit=commit, after=after)


def plan_switch(state: CacheState, policy: Policy) -> PrefillPlan:
    """A garment switch at a chunk boundary: begins the next segment.

    Raises:
        ValueError: before the first prefill.
    """
    if not state.slots:
        raise ValueError("the cache holds no conditions yet: prefill first")
    if policy is Policy.REFRESH_WITHDRAW_DISENTANGLE:
        return _joint_prefill(state, kept=())
    if policy is Policy.KEEP_MOTION:
        return _joint_prefill(state, kept=_last_chunk(state))
    slots, moves = (state.slots[:CONDITION_FRAMES], ()) if policy.restarts_video else _settle(state)
    segment = state.segment + 1
    garment = replace(slots[GARMENT_SLOT], segment=segment)
    after = replace(
        state,
        slots=(slots[REFERENCE_SLOT], garment, *slots[CONDITION_FRAMES:]),
        staged=(),
        segment=segment,
        chunk=0,
        frame=0 if policy.restarts_video else state.frame,
    )
    # The garment sees the reference, as it did in the joint prefill, and nothing of the video.
    condition_pass = PassPlan(
        moves=moves, past_positions=(REFERENCE_SLOT,), positions=(GARMENT_SLOT,), write_slot=GARMENT_SLOT
    )
    return PrefillPlan(conditions=(Role.GARMENT,), condition_pass=condition_pass, after=after)


def _joint_prefill(state: CacheState, *, kept: tuple[int, ...]) -> PrefillPlan:
    """Reference and garment together see only each other; `kept` are physical slots of history that stay attended."""
    segment = state.segment + 1
    conditions = (Slot(role=Role.REFERENCE, segment=segment), Slot(role=Role.GARMENT, segment=segment))
    physical = state.slots + state.staged
    # Kept history is recent, never sink: it shows the old garment and must leave the window in its turn.
    history = tuple(replace(physical[slot], role=Role.RECENT, frame=i) for i, slot in enumerate(kept))
    moves = tuple((slot, CONDITION_FRAMES + i) for i, slot in enumerate(kept) if slot != CONDITION_FRAMES + i)
    after = replace(state, slots=conditions + history, staged=(), segment=segment, chunk=0, frame=len(history))
    condition_pass = PassPlan(
        moves=moves, past_positions=(), positions=(REFERENCE_SLOT, GARMENT_SLOT), write_slot=REFERENCE_SLOT
    )
    return PrefillPlan(conditions=(Role.REFERENCE, Role.GARMENT), condition_pass=condition_pass, after=after)


def _settle(state: CacheState) -> tuple[tuple[Slot, ...], tuple[tuple[int, int], ...]]:
    """Move what is staged over the oldest recent chunk; returns the attended slots and the moves."""
    if not state.staged:
        return state.slots, ()
    recent = (slot for slot, content in enumerate(state.slots) if content.role is Role.RECENT)
    oldest = min(recent, key=lambda slot: state.slots[slot].frame)
    count = len(state.staged)
    slots = state.slots[:oldest] + state.staged + state.slots[oldest + count :]
    return slots, tuple((len(state.slots) + i, oldest + i) for i in range(count))


def _last_chunk(state: CacheState) -> tuple[int, ...]:
    """Physical slots of the newest chunk, oldest frame first; empty before the first chunk."""
    history = range(CONDITION_FRAMES, len(state.slots) + len(state.staged))
    physical = state.slots + state.staged
    newest_first = sorted(history, key=lambda slot: physical[slot].frame, reverse=True)
    return tuple(reversed(newest_first[: state.geometry.chunk_frames]))


def _past_positions(state: CacheState, slots: tuple[Slot, ...]) -> tuple[int, ...]:
    history = range(CONDITION_FRAMES, len(slots))
    if state.position_mode is PositionMode.ABSOLUTE:
        video = tuple(CONDITION_FRAMES + slots[i].frame for i in history)
    else:
        rank = {slot: place for place, slot in enumerate(sorted(history, key=lambda i: slots[i].frame))}
        video = tuple(CONDITION_FRAMES + rank[i] for i in history)
    return (REFERENCE_SLOT, GARMENT_SLOT, *video)


def _chunk_positions(state: CacheState, slots: tuple[Slot, ...]) -> tuple[int, ...]:
    first = CONDITION_FRAMES + state.frame if state.position_mode is PositionMode.ABSOLUTE else len(slots)
    last = first + state.geometry.chunk_frames - 1
    if last >= state.geometry.rope_positions:
        raise ValueError(
            f"position {last} lies past the RoPE table's {state.geometry.rope_positions} positions: "
            "use relative positions for streams this long"
        )
    return tuple(range(first, last + 1))
