"""Denoising timesteps and sigmas, the clean pass, noise counters (model.md section 3).

Every pass of a chunk is one formula, computed in float32:

    x  = keep * x0_previous + noise_scale * noise(counter)
    x0 = x - sigma * network(x, timestep)
"""

from __future__ import annotations

from dataclasses import dataclass

SEED_BITS = 64
_PHILOX_DOMAIN = 0x666368616D656C65  # separates our streams from other users of the same seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One network pass over a chunk.

    Attributes:
        index: place within the chunk, 0-based; the clean pass comes last.
        timestep: what the network sees, a whole number in [0, 1000].
        sigma: exact noise level of the pass's input.
        keep: factor of the previous pass's clean estimate in this pass's input.
        noise_scale: factor of the fresh noise in this pass's input.
    """

    index: int
    timestep: int
    sigma: float
    keep: float
    noise_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoisingSchedule:
    """The student's few steps, warped by `shift`: sigma' = shift * s / (1 + (shift - 1) * s), s = step / 1000."""

    steps: tuple[int, ...] = (1000, 750, 500, 250)
    shift: float = 5.0

    def __post_init__(self) -> None:
        if not self.steps or self.steps[0] != 1000:
            raise ValueError(f"steps must start at 1000 (pure noise), got {self.steps}")
        if any(later >= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps must fall, got {self.steps}")
        if self.steps[-1] < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.shift <= 0:
            raise ValueError(f"shift must be positive, got {self.shift}")

    def sigma(self, step: int) -> float:
        s = step / 1000
        return self.shift * s / (1 + (self.shift - 1) * s)

    def denoising_passes(self, *, left_out: int = 0) -> tuple[Pass, ...]:
        """The passes that turn noise into a clean chunk.

        Args:
            left_out: passes to do without, those after the first. The others are as ever, index and noise included.

        Raises:
            ValueError: no pass would be left.
        """
        if not 0 <= left_out < len(self.steps):
            raise ValueError(f"of {len(self.steps)} passes 0 to {len(self.steps) - 1} can be left out, not {left_out}")
        sigmas = [self.sigma(step) for step in self.steps]
        passes = tuple(
            Pass(
                index=index,
                timestep=int(1000 * sigma),
                sigma=sigma,
                keep=0.0 if index == 0 else 1.0 - sigma,
                noise_scale=1.0 if index == 0 else sigma,
            )
            for index, sigma in enumerate(sigmas)
        )
        return (passes[0], *passes[1 + left_out :])

    def clean_pass(self) -> Pass:
        """The pass at timestep 0 over clean latents that fills the cache."""
        return Pass(index=len(self.steps), timestep=0, sigma=0.0, keep=1.0, noise_scale=0.0)

    def passes(self) -> tuple[Pass, ...]:
        return (*self.denoising_passes(), self.clean_pass())


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseCounter:
    """Key and counter of the Philox4x64 stream from which one pass draws its noise.

    Any chunk can be drawn again on any machine without drawing those before it:
    `numpy.random.Generator(numpy.random.Philox(key=key, counter=counter)).standard_normal(shape, dtype=float32)`.
    """

    key: tuple[int, int]
    counter: tuple[int, int, int, int]


def noise_counter(*, seed: int, segment: int, chunk: int, pass_index: int) -> NoiseCounter:
    """The stream of (session seed; segment, chunk, pass). The lowest counter word is left to the generator."""
    if not 0 <= seed < 1 << SEED_BITS:
        raise ValueError(f"seed must lie in [0, 2**{SEED_BITS}), got {seed}")
    if min(segment, chunk, pass_index) < 0:
        raise ValueError(f"segment, chunk and pass must not be negative, got {segment}, {chunk}, {pass_index}")
    return NoiseCounter(key=(seed, _PHILOX_DOMAIN), counter=(0, pass_index, chunk, segment))
