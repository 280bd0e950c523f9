"""The presets: the paper's figures, and one code path for all sizes."""

from contract.geometry import WAN_5B
from training.optimiser import Method
from training.presets import NANO, NANO_GPU, PAPER_5B, PRESETS, TINY


def test_the_5b_preset_has_the_papers_figures() -> None:
    paper = PAPER_5B
    assert paper.geometry is WAN_5B
    assert (paper.frames, paper.frames + 2, paper.geometry.chunk_frames) == (21, 23, 3)
    assert {stage.batch for stage in (paper.teacher, paper.forcing, paper.dmd)} == {64}
    assert {stage.ema for stage in (paper.teacher, paper.forcing, paper.dmd)} == {0.99}
    assert {stage.levels.shift for stage in (paper.teacher, paper.forcing, paper.dmd)} == {5.0}
    assert paper.schedule.shift == 5.0
    assert (paper.guidance, paper.dmd.guidance, paper.sampling_steps) == (3.0, 3.0, 50)
    assert (paper.teacher.steps, paper.forcing.steps, paper.dmd.steps) == (2300, 4000, 400)
    assert (paper.teacher.text_dropout, paper.teacher.full_captions) == (0.1, 0.3)
    assert (paper.forcing.full_captions, paper.dmd.full_captions) == (1.0, 1.0)
    assert (paper.dmd.critic_steps, paper.dmd.tau) == (5, 0.2)
    assert paper.bfloat16


def test_the_5b_presets_optimisers_are_the_papers() -> None:
    teacher, forcing = PAPER_5B.teacher.optimiser, PAPER_5B.forcing.optimiser
    generator, critic = PAPER_5B.dmd.generator, PAPER_5B.dmd.critic
    assert {part.method for part in (teacher, forcing, generator, critic)} == {Method.ADAMW}
    assert {part.weight_decay for part in (teacher, forcing, generator, critic)} == {0.01}
    assert (teacher.betas, teacher.clip, teacher.warmup) == ((0.9, 0.999), 1.0, 200)
    assert [teacher.lr_at(step, 2300) for step in (199, 1099, 1100, 2299)] == [1e-5, 1e-5, 5e-6, 5e-6]
    assert {part.betas for part in (forcing, generator, critic)} == {(0.0, 0.999)}
    assert {part.clip for part in (forcing, generator, critic)} == {10.0}
    assert [part.lr_at(100, 400) for part in (forcing, generator, critic)] == [1e-6, 2e-6, 4e-7]


def test_nothing_that_serves_the_small_ones_alone_is_on_in_the_5b_preset() -> None:
    assert PAPER_5B.forcing.context_noise == 0
    assert not PAPER_5B.teacher.train_text
    assert {stage.levels.few_step_share for stage in (PAPER_5B.teacher, PAPER_5B.forcing, PAPER_5B.dmd)} == {0.0}


def test_presets_go_by_their_names() -> None:
    assert PRESETS == {"tiny": TINY, "nano": NANO, "nano_gpu": NANO_GPU, "paper_5b": PAPER_5B}
