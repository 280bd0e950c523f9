"""All of the paper's trainings at tiny size, one after the other: they learn, and each starts where the last ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training import forcing, loop, stages
from training.draws import Draws
from training.loop import Pace
from training.networks import NETWORK, Networks
from training.presets import TINY
from training.stage import Scene, Stage

CPU = torch.device("cpu")
MakeScene = Callable[[int], Scene]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the stages left their weights, and their metrics by step."""

    folder: Path
    metrics: Mapping[str, list[dict[str, float]]]

    def weights(self, name: str) -> Path:
        return self.folder / name / loop.RESULT

    def fall(self, name: str) -> float:
        """Mean loss of the last tenth over that of the first."""
        losses = [row["loss"] for row in self.metrics[name]]
        tenth = max(1, len(losses) // 10)
        return sum(losses[-tenth:]) / sum(losses[:tenth])


@pytest.fixture(scope="module")
def run(make_scene: MakeScene, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    metrics: dict[str, list[dict[str, float]]] = {}

    def train(stage: Stage) -> Path:
        real, rows = stage.step, metrics.setdefault(stage.name, [])

        def noted(step: int) -> dict[str, float]:
            rows.append(real(step))
            return rows[-1]

        stage.step = noted  # type: ignore[method-assign]
        assert loop.train(stage, folder / stage.name, pace=Pace())
        return folder / stage.name / loop.RESULT

    teacher = train(stages.teacher_stage(make_scene(8)))
    causal = train(stages.forcing_stage(make_scene(8), init=teacher))
    reward = stages.trained_reward(make_scene(8), train(stages.reward_stage(make_scene(8))))
    train(stages.dmd_stage(make_scene(4), generator=causal, teacher=teacher, reward=reward))
    train(stages.consistency_stage(make_scene(4), init=causal))
    return Run(folder=folder, metrics=metrics)


def test_a_text_encoder_without_a_backbone_is_refused(make_scene: MakeScene) -> None:
    with pytest.raises(ValueError, match="none is given"):
        stages.teacher_stage(make_scene(8), text=Path("text.safetensors"))


def test_the_teacher_learns(run: Run) -> None:
    assert run.fall("teacher") < 0.6


def test_teacher_forcing_learns_on(run: Run) -> None:
    assert run.fall("forcing") < 0.9
    assert run.metrics["forcing"][0]["loss"] < run.metrics["teacher"][0]["loss"]


def test_the_frame_critic_learns(run: Run) -> None:
    assert run.fall("reward") < 1.0


def test_the_fake_score_follows_the_student_and_every_metric_is_a_number(run: Run) -> None:
    rows = run.metrics["dmd"]
    assert len(rows) == TINY.dmd.steps
    assert {"loss", "critic_loss", "reward", "score_gap", "grad_norm", "lr"} == set(rows[0])
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in rows)
    assert 0 < rows[-1]["score_gap"] < 1


def test_each_stage_begins_with_the_weights_of_the_one_before(run: Run, make_scene: MakeScene) -> None:
    stage = stages.forcing_stage(make_scene(8), init=run.weights("teacher"))
    left = load_file(run.weights("teacher"))
    for name, tensor in stage.parts["network"].module.state_dict().items():
        assert torch.equal(tensor, left[name])


def test_dmd_moves_the_generator_and_leaves_the_teacher_alone(run: Run) -> None:
    before, after = load_file(run.weights("forcing")), load_file(run.weights("dmd"))
    assert set(before) == set(after)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(NETWORK) for name in moved)


def test_vanilla_dmd_needs_no_reward(run: Run, make_scene: MakeScene) -> None:
    scene = make_scene(4)
    vanilla = replace(scene, preset=replace(TINY, dmd=replace(TINY.dmd, tau=None, critic_steps=1)))
    stage = stages.dmd_stage(vanilla, generator=run.weights("forcing"), teacher=run.weights("teacher"), reward=None)
    assert stage.step(0)["loss"] > 0


@pytest.mark.parametrize("name", ["forcing", "dmd", "consistency"])
def test_every_causal_stages_weights_sample_better_than_untrained_ones(
    run: Run, make_scene: MakeScene, name: str
) -> None:
    batch = make_scene(8).source.draw(1000)

    def error(networks: Networks) -> float:
        video = forcing.sample(networks.frozen(), TINY, batch, Draws("judge", batch=8))
        return (video - batch.video).square().mean().item()

    assert error(Networks.load(TINY, run.weights(name), CPU)) < 0.7 * error(Networks.untrained(TINY, CPU))
