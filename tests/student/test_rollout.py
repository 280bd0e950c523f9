"""The reference rollout: what each rescheduling policy keeps and forgets, noise, pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.cache_plan import (
    GARMENT_SLOT,
    REFERENCE_SLOT,
    Policy,
    PositionMode,
    Role,
    plan_chunk,
    plan_start,
    plan_switch,
)
from contract.geometry import CONDITION_FRAMES, StudentGeometry
from contract.schedule import DenoisingSchedule
from student.dit import CausalDiT
from student.rollout import LatentStream, VideoStream, philox_noise
from student.vae import StreamingVae

WITHDRAWING = [policy for policy in Policy if policy is not Policy.REFRESH]
# Few passes are enough where the number of passes is not what is tested.
SHORT = DenoisingSchedule(steps=(1000, 500))


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Latents of a person, two garments and the frame shown at the switch; a text."""

    person: torch.Tensor
    garment: torch.Tensor
    other_garment: torch.Tensor
    last_frame: torch.Tensor
    text: torch.Tensor

    @property
    def at_switch(self) -> Mapping[Role, torch.Tensor]:
        return {Role.REFERENCE: self.last_frame, Role.GARMENT: self.other_garment}


@pytest.fixture(scope="session")
def conditions(geometry: StudentGeometry) -> Conditions:
    random = torch.Generator().manual_seed(3)
    person, garment, other, last = torch.randn(4, 1, *geometry.latent_shape, generator=random)
    text = torch.randn(1, geometry.text_tokens, geometry.text_dim, generator=random)
    return Conditions(person=person, garment=garment, other_garment=other, last_frame=last, text=text)


def _started(network: CausalDiT, geometry: StudentGeometry, inputs: Conditions, seed: int = 0) -> LatentStream:
    stream = LatentStream(network, geometry, noise=philox_noise(seed), schedule=SHORT)
    stream.start(inputs.person, inputs.garment, inputs.text)
    return stream


def _switch(stream: LatentStream, policy: Policy, inputs: Conditions) -> None:
    stream.prefill(plan_switch(stream.state, policy), inputs.at_switch)


def _poison(stream: LatentStream, geometry: StudentGeometry, slots: list[int]) -> None:
    """Not-a-number in slots: it reaches the output of any pass that attends one of them, however lightly."""
    tokens = (1, geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
    nan = [torch.full(tokens, torch.nan)] * geometry.num_layers
    for slot in slots:
        stream.cache.write(slot, nan, nan)


chunks_before = st.integers(0, 7)  # the window of the test's student is full after 3
chunks_after = 4
bounded = settings(max_examples=15, deadline=None)


@pytest.mark.parametrize("policy", Policy)
def test_a_switch_changes_nothing_before_it_and_what_comes_after(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions, policy: Policy
) -> None:
    plain, switched = (_started(network, geometry, conditions) for _ in range(2))
    for _ in range(4):
        assert torch.equal(plain.chunk(), switched.chunk())
    _switch(switched, policy, conditions)
    for _ in range(2):
        assert (plain.chunk() - switched.chunk()).abs().max() > 1e-3


@pytest.mark.parametrize("policy", WITHDRAWING)
@given(before=chunks_before)
@bounded
def test_after_a_withdrawing_switch_nothing_of_the_withdrawn_history_is_seen(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions, policy: Policy, before: int
) -> None:
    clean, poisoned = (_started(network, geometry, conditions) for _ in range(2))
    last_chunk: list[int] = []
    for _ in range(before):
        for stream in (clean, poisoned):
            written = plan_chunk(stream.state).commit.write_slot
            assert written is not None
            last_chunk = list(range(written, written + geometry.chunk_frames))
            stream.chunk()
    kept = last_chunk if policy is Policy.KEEP_MOTION else []
    if not policy.replaces_reference:
        kept = [REFERENCE_SLOT]
    _poison(poisoned, geometry, [slot for slot in range(geometry.window_frames) if slot not in kept])
    for stream in (clean, poisoned):
        _switch(stream, policy, conditions)
    for _ in range(chunks_after):
        want, got = clean.chunk(), poisoned.chunk()
        assert want.isfinite().all()
        assert torch.equal(want, got)


@pytest.mark.parametrize(
    ("policy", "slot"),
    [
        (Policy.REFRESH, REFERENCE_SLOT),
        (Policy.REFRESH, CONDITION_FRAMES),
        (Policy.REFRESH, CONDITION_FRAMES + 5),
        (Policy.REFRESH_WITHDRAW, REFERENCE_SLOT),
        (Policy.KEEP_MOTION, CONDITION_FRAMES + 5),
    ],
)
def test_what_a_policy_keeps_is_seen_after_the_switch(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions, policy: Policy, slot: int
) -> None:
    stream = _started(network, geometry, conditions)
    for _ in range(2):
        stream.chunk()
    _poison(stream, geometry, [slot])
    _switch(stream, policy, conditions)
    assert stream.chunk().isnan().all()


@given(before=chunks_before)
@bounded
def test_refresh_writes_the_garment_slot_and_no_other(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions, before: int
) -> None:
    stream = _started(network, geometry, conditions)
    for _ in range(before):
        stream.chunk()
    plan = plan_switch(stream.state, Policy.REFRESH)
    # What a full window holds in staging is due to move over the oldest chunk, switch or no switch.
    assert plan.condition_pass.moves == plan_chunk(stream.state).denoise.moves
    stream.cache.move(plan.condition_pass)
    held = [(k.clone(), v.clone()) for k, v in zip(*stream.cache.read(0, geometry.window_frames), strict=True)]
    stream.prefill(plan, conditions.at_switch)
    for (old_k, old_v), k, v in zip(held, *stream.cache.read(0, geometry.window_frames), strict=True):
        for old, new in ((old_k, k), (old_v, v)):
            by_slot = (old != new).unflatten(1, (geometry.window_frames, -1)).flatten(2).any(2)[0]
            assert by_slot.nonzero().flatten().tolist() == [GARMENT_SLOT]


def test_refreshing_twice_with_a_garment_is_refreshing_once(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions
) -> None:
    once, twice = (_started(network, geometry, conditions) for _ in range(2))
    for stream in (once, twice):
        stream.chunk()
        _switch(stream, Policy.REFRESH, conditions)
    _switch(twice, Policy.REFRESH, conditions)
    for got, want in zip(twice.cache.read(0, 5), once.cache.read(0, 5), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("before", [1, 3, 6])
def test_the_default_switch_is_a_fresh_start_from_the_frame_last_shown(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions, before: int
) -> None:
    draw = philox_noise(4)

    def of_segment_1(_: int, *at: object) -> torch.Tensor:
        return draw(1, *at)  # type: ignore[arg-type]

    fresh = LatentStream(network, geometry, noise=of_segment_1, schedule=SHORT)
    fresh.start(conditions.last_frame, conditions.other_garment, conditions.text)
    switched = _started(network, geometry, conditions, seed=4)
    for _ in range(before):
        switched.chunk()
    _switch(switched, Policy.REFRESH_WITHDRAW_DISENTANGLE, conditions)
    for _ in range(chunks_after):
        assert torch.equal(switched.chunk(), fresh.chunk())


def test_relative_and_absolute_positions_agree_until_the_first_eviction(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions
) -> None:
    streams = []
    for mode in PositionMode:
        stream = LatentStream(network, geometry, noise=philox_noise(0), schedule=SHORT, position_mode=mode)
        stream.start(conditions.person, conditions.garment, conditions.text)
        streams.append(stream)
    chunks = (geometry.max_attended_frames - CONDITION_FRAMES) // geometry.chunk_frames
    for _ in range(chunks + 1):
        assert torch.equal(*(stream.chunk() for stream in streams))
    assert not torch.equal(*(stream.chunk() for stream in streams))


def test_nothing_can_be_sampled_before_the_start(network: CausalDiT, geometry: StudentGeometry) -> None:
    stream = LatentStream(network, geometry, noise=philox_noise(0))
    with pytest.raises(ValueError, match="prefill first"):
        stream.chunk()
    nothing = torch.zeros(1, *geometry.latent_shape)
    with pytest.raises(ValueError, match="no prompt yet"):
        stream.prefill(plan_start(geometry), {Role.REFERENCE: nothing, Role.GARMENT: nothing})


def test_relative_positions_run_past_latent_frame_1100_without_drift(
    geometry: StudentGeometry, conditions: Conditions, network: CausalDiT
) -> None:
    one_step = DenoisingSchedule(steps=(1000,))
    stream = LatentStream(network, geometry, noise=philox_noise(0), schedule=one_step)
    stream.start(conditions.person, conditions.garment, conditions.text)
    frames, sizes, positions = 0, [], set()
    while frames <= 1100:
        plan = plan_chunk(stream.state)
        positions |= {*plan.denoise.past_positions, *plan.denoise.positions}
        latent = stream.chunk()
        frames += latent.shape[1]
        sizes.append(latent.abs().max().item())
    assert positions == set(range(geometry.window_frames))
    early, late = sizes[: len(sizes) // 4], sizes[-len(sizes) // 4 :]
    assert 0.5 * max(early) < max(late) < 2 * max(early)


def test_absolute_positions_end_with_the_rope_table(
    geometry: StudentGeometry, conditions: Conditions, network: CausalDiT
) -> None:
    short = replace(geometry, rope_positions=64)
    stream = LatentStream(
        network,
        short,
        noise=philox_noise(0),
        schedule=DenoisingSchedule(steps=(1000,)),
        position_mode=PositionMode.ABSOLUTE,
    )
    stream.start(conditions.person, conditions.garment, conditions.text)
    last_chunk = (short.rope_positions - CONDITION_FRAMES) // short.chunk_frames
    for _ in range(last_chunk):
        stream.chunk()
    with pytest.raises(ValueError, match="use relative positions"):
        stream.chunk()


def test_the_network_at_a_full_window_is_the_same_at_frame_10_and_at_frame_100000(
    network: CausalDiT, geometry: StudentGeometry
) -> None:
    """Only offsets count: why positions may be counted within the window."""
    S, F, N = geometry.max_attended_frames, geometry.chunk_frames, geometry.tokens_per_frame
    random = torch.Generator().manual_seed(0)
    latent = torch.randn(1, F, *geometry.latent_shape, generator=random)
    text = torch.randn(1, geometry.text_tokens, geometry.text_dim, generator=random)
    kv = torch.randn(2, geometry.num_layers, 1, S * N, geometry.num_heads, geometry.head_dim, generator=random)

    def flow(shift: int) -> torch.Tensor:
        past = torch.arange(S)[None] + shift
        new = torch.arange(S, S + F)[None] + shift
        return network(latent, torch.full((1, F), 625.0), text, new, past, list(kv[0]), list(kv[1]))[0]

    torch.testing.assert_close(flow(1000), flow(0), atol=5e-6, rtol=0)


@pytest.mark.parametrize("batch", [1, 2])
def test_the_same_seed_gives_the_same_chunks_and_another_seed_others(
    network: CausalDiT, geometry: StudentGeometry, conditions: Conditions, batch: int
) -> None:
    def chunk(seed: int) -> torch.Tensor:
        stream = LatentStream(network, geometry, noise=philox_noise(seed), batch=batch)
        each = (conditions.person, conditions.garment, conditions.text)
        stream.start(*(tensor.expand(batch, *tensor.shape[1:]) for tensor in each))
        stream.chunk()
        return stream.chunk()

    assert torch.equal(chunk(1), chunk(1))
    assert not torch.equal(chunk(1), chunk(2))


def test_noise_is_the_same_on_every_machine_and_differs_between_passes() -> None:
    draw = philox_noise(2**64 - 1)
    first = draw(3, 5, 1, (2, 2))
    assert first.dtype == torch.float32
    assert torch.equal(first, draw(3, 5, 1, (2, 2)))
    recorded = torch.tensor([[0.56157726, -1.14898598], [0.74839973, -0.16960548]])
    torch.testing.assert_close(first, recorded, atol=1e-6, rtol=0)
    others = [draw(*at, (2, 2)) for at in ((2, 5, 1), (3, 4, 1), (3, 5, 2), (5, 3, 1))]
    assert not any(torch.equal(first, other) for other in others)


class TestPictures:
    """`VideoStream`: pictures in, frames out."""

    @pytest.fixture
    def pictures(self, geometry: StudentGeometry) -> torch.Tensor:
        shape = (3, geometry.frame_height, geometry.frame_width, 3)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(6))

    @pytest.fixture
    def video(
        self,
        network: CausalDiT,
        vae: StreamingVae,
        geometry: StudentGeometry,
        conditions: Conditions,
        pictures: torch.Tensor,
    ) -> VideoStream:
        return self._video(network, vae, geometry, conditions, pictures[0], pictures[1])

    def _video(
        self,
        network: CausalDiT,
        vae: StreamingVae,
        geometry: StudentGeometry,
        conditions: Conditions,
        person: torch.Tensor,
        garment: torch.Tensor,
        segment: int = 0,
    ) -> VideoStream:
        draw = philox_noise(9)
        latents = LatentStream(network, geometry, noise=lambda s, *at: draw(s + segment, *at), schedule=SHORT)
        return VideoStream(latents, vae, person=person, garment=garment, text_context=conditions.text)

    @pytest.mark.parametrize(
        ("policy", "frames"),
        [
            (Policy.REFRESH, 12),
            (Policy.REFRESH_WITHDRAW, 9),
            (Policy.REFRESH_WITHDRAW_DISENTANGLE, 9),
            (Policy.KEEP_MOTION, 12),
        ],
    )
    def test_the_first_latent_of_a_run_of_positions_is_one_frame(
        self, video: VideoStream, geometry: StudentGeometry, pictures: torch.Tensor, policy: Policy, frames: int
    ) -> None:
        shape = (geometry.frame_height, geometry.frame_width, 3)
        assert [video.chunk().shape for _ in range(2)] == [(9, *shape), (12, *shape)]
        video.switch(pictures[2], policy)
        shown = [video.chunk() for _ in range(2)]
        assert [chunk.shape for chunk in shown] == [(frames, *shape), (12, *shape)]
        assert {chunk.dtype for chunk in shown} == {torch.uint8}

    def test_the_default_switch_is_a_session_that_starts_from_the_last_frame(
        self,
        video: VideoStream,
        network: CausalDiT,
        vae: StreamingVae,
        geometry: StudentGeometry,
        conditions: Conditions,
        pictures: torch.Tensor,
    ) -> None:
        last = [video.chunk() for _ in range(4)][-1][-1]
        video.switch(pictures[2])
        fresh = self._video(network, vae, geometry, conditions, last, pictures[2], segment=1)
        for _ in range(2):
            assert torch.equal(video.chunk(), fresh.chunk())

    def test_a_switch_may_bring_another_prompt(
        self,
        network: CausalDiT,
        vae: StreamingVae,
        geometry: StudentGeometry,
        conditions: Conditions,
        pictures: torch.Tensor,
    ) -> None:
        videos = [self._video(network, vae, geometry, conditions, pictures[0], pictures[1]) for _ in range(3)]
        for video, text in zip(videos, (None, conditions.text, conditions.text + 1), strict=True):
            video.chunk()
            video.switch(pictures[2], text_context=text)
        unchanged, same, other = (video.chunk() for video in videos)
        assert torch.equal(unchanged, same)
        assert not torch.equal(unchanged, other)
