"""The arithmetic around a network pass, in float32 (contract/schedule.py states the formula)."""

from __future__ import annotations

import numpy as np

from contract.schedule import NoiseCounter, Pass, noise_counter
from service.engine.base import Latents


def draw_noise(counter: NoiseCounter, shape: tuple[int, ...]) -> Latents:
    """Standard normal noise of the counter's stream."""
    generator = np.random.Generator(np.random.Philox(key=counter.key, counter=counter.counter))
    return generator.standard_normal(shape, dtype=np.float32)


def pass_input(
    sigma_pass: Pass, clean: Latents | None, *, seed: int, segment: int, chunk: int, shape: tuple[int, ...]
) -> Latents:
    """The noisy chunk [F, C, h, w] that goes into a pass; `clean` is the previous pass's estimate."""
    if sigma_pass.noise_scale == 0.0:
        assert clean is not None
        return clean
    counter = noise_counter(seed=seed, segment=segment, chunk=chunk, pass_index=sigma_pass.index)
    noise = draw_noise(counter, shape)
    if sigma_pass.keep == 0.0:
        return noise
    assert clean is not None
    return np.float32(sigma_pass.keep) * clean + np.float32(sigma_pass.noise_scale) * noise


def clean_estimate(sigma_pass: Pass, noisy: Latents, flow: Latents) -> Latents:
    """x0 = x - sigma * flow."""
    return noisy - np.float32(sigma_pass.sigma) * flow
