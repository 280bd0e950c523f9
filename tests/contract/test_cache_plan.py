"""The cache plan against a closed form and against a memory that remembers who wrote what."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.cache_plan import (
    GARMENT_SLOT,
    CacheState,
    PassPlan,
    Policy,
    PositionMode,
    Role,
    plan_chunk,
    plan_start,
    plan_switch,
)
from contract.geometry import CONDITION_FRAMES, WAN_5B, StudentGeometry

geometries = st.builds(
    lambda chunk, sink, recent: replace(
        WAN_5B, chunk_frames=chunk, sink_frames=chunk * sink, recent_frames=chunk * recent
    ),
    chunk=st.integers(1, 4),
    sink=st.integers(0, 2),
    recent=st.integers(2, 6),
)
modes = st.sampled_from(PositionMode)
actions = st.lists(st.one_of(st.just("chunk"), st.sampled_from(Policy)), max_size=40)


class Memory:
    """W physical slots; each holds (segment, frame) of its last writer. Checks every pass it carries out."""

    def __init__(self, geometry: StudentGeometry) -> None:
        self.geometry = geometry
        self.slots: dict[int, object] = {}

    def run(self, plan: PassPlan, writes: tuple[object, ...] = ()) -> list[object]:
        for source, destination in plan.moves:
            self.slots[destination] = self.slots[source]
        assert set(range(plan.attended)) <= set(self.slots), "a slot is read before it was written"
        seen = [self.slots[slot] for slot in range(plan.attended)]
        if plan.write_slot is not None:
            written = range(plan.write_slot, plan.write_slot + len(writes))
            assert not set(written) & set(range(plan.attended)), "a pass writes what it reads"
            assert written.stop <= self.geometry.window_frames
            self.slots.update(zip(written, writes, strict=True))
        return seen


def chunk_contents(geometry: StudentGeometry, segment: int, chunk: int) -> tuple[object, ...]:
    return tuple((segment, chunk, i) for i in range(geometry.chunk_frames))


@given(geometries, modes, st.integers(0, 30))
def test_without_switches_the_plan_is_a_closed_form(geometry: StudentGeometry, mode: PositionMode, chunks: int) -> None:
    """Chunk k attends the conditions, the sink's chunks and the newest chunks that fit beside itself; its relative
    positions count them, the oldest first, its absolute ones are those of the stream."""
    memory, state = Memory(geometry), plan_start(geometry, mode).after
    memory.run(plan_start(geometry, mode).condition_pass, ("reference", "garment"))
    count, sink, recent = geometry.chunk_frames, geometry.sink_frames, geometry.recent_frames
    for k in range(chunks):
        plan = plan_chunk(state)
        assert (plan.segment, plan.chunk) == (0, k)
        attended_chunks = sorted({*range(min(k, sink // count)), *range(max(0, k - recent // count + 1), k)})
        expected = ["reference", "garment"] + [c for j in attended_chunks for c in chunk_contents(geometry, 0, j)]
        seen = memory.run(plan.denoise)
        assert sorted(map(str, seen)) == sorted(map(str, expected))
        memory.run(plan.commit, chunk_contents(geometry, 0, k))
        positions = dict(zip(seen, plan.denoise.past_positions, strict=True))
        oldest_first = [*(positions[content] for content in expected), *plan.denoise.positions]
        if mode is PositionMode.ABSOLUTE:
            shown = [2 + j * count + i for j in [*attended_chunks, k] for i in range(count)]
            assert oldest_first == [0, 1, *shown]
        else:
            assert oldest_first == list(range(len(oldest_first)))
            assert len(oldest_first) <= geometry.window_frames
        state = plan.after
        assert state.full == (plan.denoise.attended == geometry.max_attended_frames)


@given(geometries, modes, actions)
def test_any_sequence_reads_only_what_its_generation_may_see(
    geometry: StudentGeometry, mode: PositionMode, sequence: list[str]
) -> None:
    """Nothing is read before it was written, no pass writes what it reads, repeating any step changes nothing, and
    after a withdrawing switch nothing of the withdrawn history is reachable."""
    memory = Memory(geometry)
    start = plan_start(geometry, mode)
    memory.run(start.condition_pass, ((0, "reference"), (0, "garment")))
    state, segment_of_history = start.after, 0
    for action in sequence:
        if action == "chunk":
            plan = plan_chunk(state)
            assert plan_chunk(state) == plan, "planning again changes nothing"
            new = tuple((plan.segment, "video", plan.chunk, i) for i in range(geometry.chunk_frames))
            seen = memory.run(plan.denoise)
            assert memory.run(plan.denoise) == seen, "repeating a pass changes nothing"
            memory.run(plan.commit, new)
            assert memory.run(plan.commit, new) == seen
            history = [entry for entry in seen if entry[1] == "video"]
            assert all(entry[0] >= segment_of_history for entry in history), "withdrawn history is attended"
            assert [entry[1] for entry in seen[:CONDITION_FRAMES]] == ["reference", "garment"]
            assert seen[1][0] == plan.segment, "the garment attended is the segment's own"
            positions = plan.denoise.past_positions + plan.denoise.positions
            assert len(set(positions)) == len(positions), "no two frames share a position"
            state = plan.after
            continue
        policy = Policy(action)
        switch = plan_switch(state, policy)
        segment = switch.after.segment
        assert segment == state.segment + 1
        new = tuple((segment, role.value) for role in switch.conditions)
        seen = memory.run(switch.condition_pass, new)
        assert memory.run(switch.condition_pass, new) == seen
        assert all(entry[1] != "video" for entry in seen), "conditions never attend the video"
        if policy.restarts_video:
            segment_of_history = segment
            assert len(switch.after.slots) == CONDITION_FRAMES
            assert switch.after.frame == 0
        state = switch.after
        assert state.slots[GARMENT_SLOT].segment == segment


@given(geometries, st.integers(1, 20))
def test_keep_motion_keeps_the_newest_chunk_and_lets_it_go_in_its_turn(geometry: StudentGeometry, chunks: int) -> None:
    memory, state = Memory(geometry), plan_start(geometry).after
    memory.run(plan_start(geometry).condition_pass, ("reference", "garment"))
    for k in range(chunks):
        plan = plan_chunk(state)
        memory.run(plan.denoise)
        memory.run(plan.commit, chunk_contents(geometry, 0, k))
        state = plan.after
    switch = plan_switch(state, Policy.KEEP_MOTION)
    memory.run(switch.condition_pass, ("new reference", "new garment"))
    plan = plan_chunk(switch.after)
    newest = chunk_contents(geometry, 0, chunks - 1)
    assert memory.run(plan.denoise) == ["new reference", "new garment", *newest]
    assert plan.denoise.past_positions == tuple(range(CONDITION_FRAMES + geometry.chunk_frames))
    state = plan.after
    for _ in range(geometry.window_frames):
        state = plan_chunk(state).after
    assert all(slot.segment == 1 for slot in state.slots), "the kept chunk left the window"
    assert sum(slot.role is Role.SINK for slot in state.slots) == geometry.sink_frames


def test_a_switch_before_the_first_chunk_is_allowed() -> None:
    start = plan_start(WAN_5B).after
    for policy in Policy:
        assert plan_switch(start, policy).after.segment == 1


def test_nothing_can_be_planned_before_the_prefill() -> None:
    empty = CacheState(geometry=WAN_5B)
    with pytest.raises(ValueError, match="prefill first"):
        plan_chunk(empty)
    with pytest.raises(ValueError, match="prefill first"):
        plan_switch(empty, Policy.REFRESH)


def test_absolute_positions_end_with_the_rope_table_and_relative_ones_do_not() -> None:
    for mode in PositionMode:
        state = plan_start(WAN_5B, mode).after
        chunks = (WAN_5B.rope_positions - CONDITION_FRAMES) // WAN_5B.chunk_frames
        for _ in range(chunks):
            state = plan_chunk(state).after
        if mode is PositionMode.ABSOLUTE:
            with pytest.raises(ValueError, match="use relative positions"):
                plan_chunk(state)
        else:
            assert max(plan_chunk(state).denoise.positions) == WAN_5B.window_frames - 1


def test_the_decoder_restarts_where_no_history_precedes_a_chunk_and_nowhere_else() -> None:
    start = plan_start(WAN_5B)
    assert start.restarts_video
    withdrawing = {Policy.REFRESH_WITHDRAW, Policy.REFRESH_WITHDRAW_DISENTANGLE}
    played = plan_chunk(start.after).after
    for policy in Policy:
        assert plan_switch(start.after, policy).restarts_video, "before the first chunk there is no history to keep"
        assert plan_switch(played, policy).restarts_video == (policy in withdrawing)
        for overtaken in withdrawing:
            assert plan_switch(plan_switch(played, overtaken).after, policy).restarts_video


def test_the_policies_say_what_they_do_to_reference_and_video() -> None:
    for policy in Policy:
        plan = plan_switch(plan_chunk(plan_start(WAN_5B).after).after, policy)
        assert policy.replaces_reference == (Role.REFERENCE in plan.conditions)
        assert policy.restarts_video == plan.restarts_video
