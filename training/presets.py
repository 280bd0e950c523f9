"""Every number of a training, by name: `tiny` for tests, `nano` for the embedded student, `nano_gpu` where a
GPU trains it, `paper_5b` as published."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contract.byte_tokenizer import VOCABULARY
from contract.geometry import CONDITION_FRAMES, WAN_5B, StudentGeometry
from contract.schedule import DenoisingSchedule
from student import nano
from student.text import UMT5_XXL, TextConfig
from student.vae import VaeConfig
from training.noise import NoiseLevels, Target
from training.optimiser import Method, OptimiserConfig

_SCHEDULE = DenoisingSchedule()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecPhase:
    """What the codec sees until step `until`.

    Attributes:
        samples: drawn in each step by each process; each gives two whole pictures: the reference, and in turn the
            product or the first frame.
        frames: length of each sample's clip, 1 + 4 n; 1: pictures only.
        crop: rows and columns that are cut out of a clip, somewhere.
    """

    until: int
    samples: int
    frames: int
    crop: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecConfig:
    """The VAE, where it is trained here, and the latents that it makes of the drawn world.

    Attributes:
        kl_weight: of the mean KL divergence of a latent's element.
        shards: of latents that the later stages learn from.
        stream_latents: latent frames of each stream in them.
    """

    network: VaeConfig
    phases: tuple[CodecPhase, ...]
    optimiser: OptimiserConfig
    kl_weight: float = 1e-4
    ema: float = 0.995
    shards: int
    stream_latents: int

    @property
    def steps(self) -> int:
        return self.phases[-1].until

    def phase(self, step: int) -> CodecPhase:
        return next(phase for phase in self.phases if step < phase.until)

    def continued(self, steps: int) -> CodecConfig:
        """For a codec that was trained before: `steps` steps of the last phase, at half the rate."""
        optimiser = replace(self.optimiser, lr=self.optimiser.lr / 2)
        return replace(self, phases=(replace(self.phases[-1], until=steps),), optimiser=optimiser)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """In-context SFT.

    Attributes:
        full_captions: share of samples with the full caption; the others have the dynamic one only.
        text_dropout: share of captions left out. Pictures never are.
        train_text: train the text encoder too, which only makes sense where it starts from nothing.
    """

    steps: int
    batch: int
    optimiser: OptimiserConfig
    levels: NoiseLevels
    full_captions: float = 0.3
    text_dropout: float = 0.1
    train_text: bool = False
    ema: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcingConfig:
    """In-context teacher forcing.

    Attributes:
        context_noise: standard deviation of noise on the clean copy's video, against the drift of a network that
            only ever saw flawless context.
        trimmed: leave out what no loss depends on: the noisy copy's conditions and the last clean chunk.
    """

    steps: int
    batch: int
    optimiser: OptimiserConfig
    levels: NoiseLevels
    full_captions: float = 1.0
    context_noise: float = 0.0
    trimmed: bool = True
    ema: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class DmdConfig:
    """Gradient-reweighted distribution matching distillation.

    Attributes:
        steps: generator steps, each after `critic_steps` steps of the fake score.
        rollout_uses: how many of them learn from one rollout, each at noise of its own: rollouts are the dear part.
        guidance: of the real score: cond + guidance (cond - uncond).
        lowest, highest: bounds of the noise level at which the scores are compared.
        tau: temperature of the reweighting; None: vanilla DMD.
    """

    steps: int
    batch: int
    generator: OptimiserConfig
    critic: OptimiserConfig
    levels: NoiseLevels
    full_captions: float = 1.0
    critic_steps: int = 5
    rollout_uses: int = 1
    guidance: float = 3.0
    lowest: float = 0.02
    highest: float = 0.98
    tau: float | None = 0.2
    ema: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig:
    """The frame critic that weighs nano's frames. `width`: channels of its convolutions."""

    steps: int
    batch: int
    optimiser: OptimiserConfig
    full_captions: float = 1.0
    width: int = 64
    ema: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyConfig:
    """Causal consistency distillation. `levels` noise levels split the path from noise to clean."""

    steps: int
    batch: int
    optimiser: OptimiserConfig
    full_captions: float = 1.0
    levels: int = 48
    ema: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A student's sizes and the numbers of its trainings.

    Attributes:
        chunks: chunks of a training clip.
        codec: the VAE, where it is trained here; without one, latents come from elsewhere.
        sampling_steps: of the teacher's sampler.
        bfloat16, checkpointed: mixed precision, and blocks computed again in the backward pass: for large networks.
    """

    name: str
    geometry: StudentGeometry
    text: TextConfig
    chunks: int
    seed: int
    teacher: TeacherConfig
    forcing: ForcingConfig
    reward: RewardConfig
    dmd: DmdConfig
    consistency: ConsistencyConfig
    codec: CodecConfig | None = None
    schedule: DenoisingSchedule = _SCHEDULE
    sampling_steps: int = 50
    guidance: float = 3.0
    bfloat16: bool = False
    checkpointed: bool = False

    def __post_init__(self) -> None:
        window = self.geometry.window_frames
        if CONDITION_FRAMES + self.frames > window:
            # Positions count what is attended: past the window they would depend on who attends.
            raise ValueError(f"a clip of {self.frames} latent frames does not fit the window of {window}")

    @property
    def frames(self) -> int:
        """Latent frames of a training clip."""
        return self.chunks * self.geometry.chunk_frames


_PAPER_LEVELS = NoiseLevels(shift=5.0)
_SCORE_BETAS = (0.0, 0.999)

PAPER_5B = Preset(
    name="paper_5b",
    geometry=WAN_5B,
    text=UMT5_XXL,
    chunks=7,
    seed=0,
    bfloat16=True,
    checkpointed=True,
    teacher=TeacherConfig(
        steps=2300,
        batch=64,
        optimiser=OptimiserConfig(lr=1e-5, betas=(0.9, 0.999), clip=1.0, warmup=200, drops=((1100, 5e-6),)),
        levels=_PAPER_LEVELS,
    ),
    forcing=ForcingConfig(
        steps=4000,
        batch=64,
        optimiser=OptimiserConfig(lr=1e-6, betas=_SCORE_BETAS, clip=10.0),
        levels=_PAPER_LEVELS,
    ),
    # The paper's reward is a published aesthetic scorer; the other two stages are ours, at its rates.
    reward=RewardConfig(steps=2000, batch=64, optimiser=OptimiserConfig(lr=1e-4, betas=(0.9, 0.999), clip=1.0)),
    dmd=DmdConfig(
        steps=400,
        batch=64,
        generator=OptimiserConfig(lr=2e-6, betas=_SCORE_BETAS, clip=10.0),
        critic=OptimiserConfig(lr=4e-7, betas=_SCORE_BETAS, clip=10.0),
        levels=_PAPER_LEVELS,
    ),
    consistency=ConsistencyConfig(
        steps=4000, batch=64, optimiser=OptimiserConfig(lr=1e-6, betas=_SCORE_BETAS, clip=10.0)
    ),
)

_NANO_LEVELS = NoiseLevels(shift=nano.SCHEDULE.shift, few_step_share=0.5, target=Target.FLOW)


def _from_nothing(lr: float, *, warmup: int) -> OptimiserConfig:
    """Rates for small networks that start from nothing: hundreds of times the paper's."""
    return OptimiserConfig(
        method=Method.MUON, lr=lr, betas=(0.9, 0.99), weight_decay=0.01, clip=1.0, warmup=warmup, cosine=True
    )


NANO = Preset(
    name="nano",
    geometry=nano.GEOMETRY,
    text=nano.TEXT,
    codec=CodecConfig(
        network=nano.VAE,
        phases=(
            CodecPhase(until=650, samples=2, frames=1, crop=(96, 96)),
            CodecPhase(until=1100, samples=2, frames=5, crop=(96, 96)),
            CodecPhase(until=1500, samples=2, frames=9, crop=(96, 96)),
        ),
        optimiser=OptimiserConfig(
            method=Method.MUON, lr=5e-3, betas=(0.9, 0.99), weight_decay=0.0, clip=1.0, warmup=50, cosine=True
        ),
        shards=8,
        stream_latents=15,
    ),
    chunks=4,
    seed=20260531,
    schedule=nano.SCHEDULE,
    teacher=TeacherConfig(
        steps=480, batch=12, optimiser=_from_nothing(3e-3, warmup=50), levels=_NANO_LEVELS, train_text=True, ema=0.995
    ),
    forcing=ForcingConfig(
        steps=600,
        batch=12,
        optimiser=_from_nothing(3e-3, warmup=20),
        levels=replace(_NANO_LEVELS, few_step_share=1.0),
        full_captions=0.3,
        context_noise=0.1,
        ema=0.995,
    ),
    reward=RewardConfig(steps=600, batch=16, optimiser=_from_nothing(5e-3, warmup=20), full_captions=0.3),
    dmd=DmdConfig(
        steps=150,
        batch=8,
        generator=OptimiserConfig(lr=1e-4, betas=(0.0, 0.99), clip=1.0, warmup=10),
        critic=OptimiserConfig(lr=1e-4, betas=(0.0, 0.99), clip=1.0, warmup=10),
        levels=NoiseLevels(shift=nano.SCHEDULE.shift),
        full_captions=0.3,
        rollout_uses=5,
        guidance=1.0,  # at 3 a teacher of this size draws spots and seams (docs/log.md)
        ema=0.95,
    ),
    consistency=ConsistencyConfig(
        steps=300,
        batch=16,
        full_captions=0.3,
        optimiser=OptimiserConfig(lr=2e-4, betas=(0.9, 0.99), clip=1.0, warmup=20, cosine=True),
    ),
)

_NANO_CODEC = NANO.codec
assert _NANO_CODEC is not None
NANO_GPU = replace(
    NANO,
    name="nano_gpu",
    codec=replace(
        _NANO_CODEC,
        phases=(
            CodecPhase(until=800, samples=24, frames=1, crop=(192, 128)),
            CodecPhase(until=1600, samples=24, frames=9, crop=(192, 128)),
        ),
        shards=96,
    ),
    teacher=replace(NANO.teacher, steps=880, batch=128),
    forcing=replace(NANO.forcing, steps=1630, batch=128),
    reward=replace(NANO.reward, batch=64),
    dmd=replace(NANO.dmd, batch=64, rollout_uses=1),
    consistency=replace(NANO.consistency, batch=64),
)

_TINY_GEOMETRY = StudentGeometry(
    name="tiny",
    dim=48,
    ffn_dim=96,
    num_heads=2,
    num_layers=2,
    freq_dim=32,
    text_dim=16,
    text_tokens=144,
    latent_channels=4,
    latent_height=4,
    latent_width=4,
    chunk_frames=2,
    sink_frames=2,
    recent_frames=4,
)

TINY = Preset(
    name="tiny",
    codec=CodecConfig(
        network=replace(
            nano.VAE,
            base_dim=8,
            decoder_base_dim=8,
            z_dim=_TINY_GEOMETRY.latent_channels,
            latents_mean=(0.0,) * _TINY_GEOMETRY.latent_channels,
            latents_std=(1.0,) * _TINY_GEOMETRY.latent_channels,
        ),
        phases=(
            CodecPhase(until=20, samples=1, frames=1, crop=(32, 32)),
            CodecPhase(until=30, samples=1, frames=5, crop=(32, 32)),
        ),
        optimiser=_from_nothing(5e-3, warmup=5),
        shards=1,
        stream_latents=8,
    ),
    geometry=_TINY_GEOMETRY,
    text=TextConfig(vocabulary=VOCABULARY, dim=16, ffn_dim=32, num_heads=2, num_layers=1),
    chunks=3,
    seed=7,
    sampling_steps=10,
    teacher=replace(
        NANO.teacher, steps=60, batch=8, optimiser=_from_nothing(5e-3, warmup=5), levels=NoiseLevels(), ema=0.9
    ),
    forcing=replace(
        NANO.forcing,
        steps=60,
        batch=8,
        optimiser=_from_nothing(5e-3, warmup=5),
        levels=NoiseLevels(few_step_share=0.5),
        ema=0.9,
    ),
    reward=replace(NANO.reward, steps=200, batch=8, width=16, optimiser=_from_nothing(1e-2, warmup=5)),
    dmd=replace(NANO.dmd, steps=4, batch=4, critic_steps=2, rollout_uses=1, levels=NoiseLevels()),
    consistency=replace(NANO.consistency, steps=10, batch=4, levels=8),
)

PRESETS = {preset.name: preset for preset in (TINY, NANO, NANO_GPU, PAPER_5B)}
