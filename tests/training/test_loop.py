"""The loop: resuming equals not stopping, whatever stopped it; what it leaves behind."""

import copy
import csv
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from training import checkpoints, loop
from training.loop import Pace, Stop
from training.stage import NetworkStage, Part, Sampled, Scene, Stage
from training.stages import teacher_stage

STEPS = 6


class Short:
    """A stage cut to a few steps, which can call someone after a step."""

    def __init__(self, stage: NetworkStage, *, after: int | None = None, call: object = None) -> None:
        self.name, self.steps, self.parts = stage.name, STEPS, stage.parts
        self._stage, self._after, self._call = stage, after, call
        self.taken: list[int] = []

    def step(self, step: int) -> dict[str, float]:
        metrics = self._stage.step(step)
        self.taken.append(step)
        if step == self._after:
            self._call()  # type: ignore[operator]
        return metrics

    def result(self) -> Mapping[str, Tensor]:
        return self._stage.result()

    def sample(self) -> Sampled | None:
        return self._stage.sample()


def _stage(scene: Scene, **call: object) -> Short:
    return Short(teacher_stage(scene), **call)  # type: ignore[arg-type]


def _state(parts: Mapping[str, Part]) -> dict[str, Tensor]:
    part = parts["network"]
    remembered = {f"{name}.{key}": value for name, s in part.optimiser.state().items() for key, value in s.items()}
    averaged = {f"ema.{name}": tensor for name, tensor in part.ema.state().items()}
    return {**part.module.state_dict(), **remembered, **averaged}


def _equal(got: Mapping[str, Tensor], want: Mapping[str, Tensor]) -> bool:
    return set(got) == set(want) and all(torch.equal(got[name], want[name]) for name in want)


@pytest.fixture(scope="module")
def straight(make_scene: Callable[[int], Scene], tmp_path_factory: pytest.TempPathFactory) -> tuple[Short, Path]:
    folder = tmp_path_factory.mktemp("straight")
    stage = _stage(make_scene(8))
    assert loop.train(stage, folder, pace=Pace(save_every=4))
    return stage, folder


@pytest.mark.parametrize("at", [0, 2, 4])
def test_stopping_and_resuming_at_any_step_is_the_same_bit_for_bit(
    scene: Scene, straight: tuple[Short, Path], tmp_path: Path, at: int
) -> None:
    folder, stop = tmp_path / "stopped", Stop()
    first = _stage(scene, after=at, call=stop.ask)
    assert not loop.train(first, folder, pace=Pace(save_every=100), stop=stop)
    assert first.taken == list(range(at + 1))
    second = _stage(scene)
    assert loop.train(second, folder, pace=Pace())
    assert second.taken == list(range(at + 1, STEPS))
    assert _equal(_state(second.parts), _state(straight[0].parts))
    assert _equal(load_file(folder / loop.RESULT), load_file(straight[1] / loop.RESULT))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_training_with_a_checkpoint(scene: Scene, tmp_path: Path, number: signal.Signals) -> None:
    held = signal.getsignal(number)
    stage = _stage(scene, after=1, call=lambda: signal.raise_signal(number))
    assert not loop.train(stage, tmp_path, pace=Pace())
    found = checkpoints.latest(tmp_path)
    assert found is not None
    assert found[1] == 2
    assert signal.getsignal(number) == held


def test_time_running_out_ends_the_training_with_a_checkpoint(scene: Scene, tmp_path: Path) -> None:
    stage = _stage(scene)
    assert not loop.train(stage, tmp_path, pace=Pace(minutes=1), clock=lambda: 30.0 * len(stage.taken))
    assert stage.taken == [0, 1]


def test_work_after_a_crash_goes_on_from_the_last_checkpoint(
    scene: Scene, straight: tuple[Short, Path], tmp_path: Path
) -> None:
    def crash() -> None:
        raise RuntimeError("power cut")

    folder = tmp_path / "crashed"
    with pytest.raises(RuntimeError, match="power cut"):
        loop.train(_stage(scene, after=4, call=crash), folder, pace=Pace(save_every=2))
    torn = folder / "step-0000005.partial"
    torn.mkdir()
    (torn / "weights.safetensors").write_bytes(b"half a file")
    second = _stage(scene)
    assert loop.train(second, folder, pace=Pace(save_every=2))
    assert second.taken == [4, 5]
    assert _equal(_state(second.parts), _state(straight[0].parts))


def test_a_finished_stage_is_not_trained_again(scene: Scene, straight: tuple[Short, Path]) -> None:
    again, written = _stage(scene), (straight[1] / loop.RESULT).stat().st_mtime_ns
    assert loop.train(again, straight[1], pace=Pace())
    assert again.taken == []
    assert (straight[1] / loop.RESULT).stat().st_mtime_ns == written  # later stages know it by its bits


def test_a_result_that_a_crash_left_unwritten_is_written(scene: Scene, straight: tuple[Short, Path]) -> None:
    held = load_file(straight[1] / loop.RESULT)
    (straight[1] / loop.RESULT).unlink()
    assert loop.train(_stage(scene), straight[1], pace=Pace())
    assert _equal(load_file(straight[1] / loop.RESULT), held)


def test_a_checkpoint_of_a_longer_training_is_refused(scene: Scene, straight: tuple[Short, Path]) -> None:
    shorter = _stage(scene)
    shorter.steps = STEPS - 1
    with pytest.raises(ValueError, match="is of 6 steps, and teacher ends after 5"):
        loop.train(shorter, straight[1], pace=Pace())


def test_only_the_newest_checkpoint_stays(straight: tuple[Short, Path]) -> None:
    assert [path.name for path in straight[1].glob("step-*")] == ["step-0000006"]


def test_a_checkpoint_of_another_network_is_refused(straight: tuple[Short, Path]) -> None:
    found = checkpoints.latest(straight[1])
    assert found
    part = copy.copy(straight[0].parts["network"])
    part.module = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="another network"):
        checkpoints.restore(found[0], {"network": part})


def test_every_step_has_one_row_in_order_and_there_is_a_plot(
    scene: Scene, straight: tuple[Short, Path], tmp_path: Path
) -> None:
    stop = Stop()
    loop.train(_stage(scene, after=2, call=stop.ask), tmp_path / "stopped", pace=Pace(), stop=stop)
    loop.train(_stage(scene), tmp_path / "stopped", pace=Pace())
    tables = []
    for folder in (straight[1], tmp_path / "stopped"):
        with (folder / "metrics.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
        assert (folder / "metrics.png").read_bytes().startswith(b"\x89PNG")
    assert [float(row["step"]) for row in tables[0]] == list(range(STEPS))
    assert [float(row["loss"]) for row in tables[1]] == [float(row["loss"]) for row in tables[0]]


def test_samples_are_drawn_as_often_as_asked_and_at_the_end(scene: Scene, tmp_path: Path) -> None:
    drawn: list[tuple[str, torch.Size]] = []

    def draw(sampled: Sampled, path: Path) -> None:
        drawn.append((path.name, sampled.video.shape))

    loop.train(_stage(scene), tmp_path, pace=Pace(sample_every=4), draw=draw)
    shape = (4, scene.preset.frames, *scene.preset.geometry.latent_shape)
    assert drawn == [("samples-0000004.png", shape), ("samples-0000006.png", shape)]


def test_the_line_tells_rate_and_time_left(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage: Stage = _stage(scene)
    loop.train(stage, tmp_path, pace=Pace(), clock=lambda: 30.0 * len(stage.taken))  # type: ignore[attr-defined]
    lines = capsys.readouterr().err.splitlines()
    assert lines[2].startswith("teacher 3/6 loss ")
    assert lines[2].endswith(" 30.00 s/step, 1:30 gone, 1:30 left")


def test_no_process_goes_on_before_the_result_is_there(make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
    there: list[bool] = []

    def agree(stop: bool) -> bool:
        there.append((tmp_path / loop.RESULT).exists())
        return stop

    assert loop.train(_stage(make_scene(8)), tmp_path, pace=Pace(), agree=agree)
    assert there == [False] * STEPS + [True]
