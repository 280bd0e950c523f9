import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.schedule import DenoisingSchedule, NoiseCounter, noise_counter


def test_the_steps_are_warped_by_the_shift() -> None:
    """1000, 750, 500, 250 with shift 5: the network sees whole timesteps, sigma stays exact."""
    passes = DenoisingSchedule().denoising_passes()
    assert [p.timestep for p in passes] == [1000, 937, 833, 625]
    assert [1000 * p.sigma for p in passes] == pytest.approx([1000, 937.5, 2500 / 3, 625])


def test_every_pass_starts_at_its_own_noise_level() -> None:
    """keep and noise_scale mix clean and noise to sigma: keep = 1 - sigma, noise_scale = sigma, and the clean pass
    passes its input through."""
    first, *later, clean = DenoisingSchedule().passes()
    assert (first.keep, first.noise_scale) == (0.0, 1.0)
    assert all(p.keep == 1 - p.sigma and p.noise_scale == p.sigma for p in later)
    assert (clean.index, clean.timestep, clean.sigma, clean.keep, clean.noise_scale) == (4, 0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize(("left_out", "want"), [(0, [0, 1, 2, 3]), (1, [0, 2, 3]), (2, [0, 3]), (3, [0])])
def test_passes_left_out_leave_the_others_as_they_were(left_out: int, want: list[int]) -> None:
    passes = DenoisingSchedule().denoising_passes()
    assert DenoisingSchedule().denoising_passes(left_out=left_out) == tuple(passes[index] for index in want)


@pytest.mark.parametrize("left_out", [-1, 4])
def test_something_has_to_be_left(left_out: int) -> None:
    with pytest.raises(ValueError, match="0 to 3 can be left out"):
        DenoisingSchedule().denoising_passes(left_out=left_out)


@pytest.mark.parametrize("steps", [(), (900, 500), (1000, 1000), (1000, 500, 750), (1000, 0)])
def test_impossible_steps_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="steps must"):
        DenoisingSchedule(steps=steps)


def test_a_shift_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="shift must be positive"):
        DenoisingSchedule(shift=0)


@given(st.lists(st.tuples(*[st.integers(0, 1000)] * 4), min_size=2, max_size=20, unique=True))
def test_no_two_passes_share_a_noise_stream(places: list[tuple[int, int, int, int]]) -> None:
    counters = {noise_counter(seed=a, segment=b, chunk=c, pass_index=d) for a, b, c, d in places}
    assert len(counters) == len(places)
    assert all(counter.counter[0] == 0 for counter in counters), "the lowest word belongs to the generator"


def test_the_same_seed_gives_the_same_frames_in_every_version() -> None:
    counter = noise_counter(seed=7, segment=1, chunk=2, pass_index=3)
    assert counter == NoiseCounter(key=(7, int.from_bytes(b"fchamele")), counter=(0, 3, 2, 1))


@pytest.mark.parametrize("place", [{"seed": -1}, {"seed": 1 << 64}, {"segment": -1}, {"chunk": -1}, {"pass_index": -1}])
def test_places_outside_the_counter_are_refused(place: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        noise_counter(**{"seed": 0, "segment": 0, "chunk": 0, "pass_index": 0, **place})
