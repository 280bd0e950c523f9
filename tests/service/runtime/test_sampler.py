"""The arithmetic around a pass."""

import numpy as np
import pytest

from contract.schedule import DenoisingSchedule, noise_counter
from service.runtime.sampler import clean_estimate, draw_noise, pass_input

SHAPE = (3, 4, 2, 2)
CLEAN = np.arange(48, dtype=np.float32).reshape(SHAPE)


def noise(pass_index: int) -> np.ndarray:
    return draw_noise(noise_counter(seed=7, segment=1, chunk=2, pass_index=pass_index), SHAPE)


def test_a_chunk_begins_as_noise_and_is_noised_anew_to_the_level_of_each_pass() -> None:
    first, *later, clean_pass = DenoisingSchedule().passes()
    place = {"seed": 7, "segment": 1, "chunk": 2, "shape": SHAPE}
    assert np.array_equal(pass_input(first, None, **place), noise(0))
    for sigma_pass in later:
        mixed = (1 - sigma_pass.sigma) * CLEAN + sigma_pass.sigma * noise(sigma_pass.index)
        noisy = pass_input(sigma_pass, CLEAN, **place)
        assert noisy.dtype == np.float32
        assert noisy == pytest.approx(mixed, rel=1e-5, abs=1e-5)
    assert np.array_equal(pass_input(clean_pass, CLEAN, **place), CLEAN)


def test_the_flow_of_noise_and_clean_leads_from_the_noisy_chunk_to_the_clean_one() -> None:
    sigma_pass = DenoisingSchedule().denoising_passes()[2]
    noisy = pass_input(sigma_pass, CLEAN, seed=7, segment=1, chunk=2, shape=SHAPE)
    flow = noise(sigma_pass.index) - CLEAN
    assert clean_estimate(sigma_pass, noisy, flow) == pytest.approx(CLEAN, abs=1e-4)
