"""What each of torchrun's processes does for `test_distributed`: a few steps in each way of training together.

`python -m torch.distributed.run --nproc-per-node 2 -m tests.training.together FOLDER sharded|replicated`
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist

from tests.training.blobs import BlobSource
from training import loop, stages
from training.distributed import leave, place, stop_together
from training.loop import Pace, Stop
from training.optimiser import Method
from training.presets import TINY, Preset
from training.stage import Scene, Stage

BATCH = 4


@dataclass(frozen=True, kw_only=True)
class Job:
    """A stage of a preset, over sharded or replicated weights, stopped after some steps."""

    preset: Preset
    build: Callable[[Scene, Path], Stage]
    sharded: bool
    steps: int


def _causal(scene: Scene, folder: Path) -> Stage:
    return stages.forcing_stage(scene, init=folder / "teacher.safetensors")


def _dmd(scene: Scene, folder: Path) -> Stage:
    weights = folder / "teacher.safetensors"
    return stages.dmd_stage(scene, generator=weights, teacher=weights, reward=None)


_ADAMW = replace(TINY.teacher.optimiser, method=Method.ADAMW)
_PLAIN = replace(TINY, teacher=replace(TINY.teacher, optimiser=_ADAMW), forcing=replace(TINY.forcing, optimiser=_ADAMW))
JOBS = {
    "teacher": Job(preset=_PLAIN, build=lambda scene, _: stages.teacher_stage(scene), sharded=True, steps=3),
    "dmd": Job(preset=_PLAIN, build=_dmd, sharded=True, steps=2),
    "large": Job(
        preset=replace(_PLAIN, bfloat16=True, checkpointed=True),
        build=lambda scene, _: stages.teacher_stage(scene),
        sharded=True,
        steps=2,
    ),
    "replicated": Job(preset=TINY, build=_causal, sharded=False, steps=3),
}


def train(name: str, folder: Path, scene: Scene, *, until: int | None = None) -> list[float]:
    """Train a job in `folder` to a step, then stop with a checkpoint; the losses."""
    job = JOBS[name]
    stage = job.build(scene, folder)
    losses, stop, real = [], Stop(), stage.step

    def step(number: int) -> dict[str, float]:
        metrics = real(number)
        losses.append(metrics["loss"])
        if number + 1 == (until or job.steps):
            stop.ask()
        return metrics

    stage.step = step  # type: ignore[method-assign]
    loop.train(stage, folder / name, pace=Pace(), share=scene.place.share, stop=stop, agree=stop_together)
    return losses


def main() -> None:
    torch.set_num_threads(1)
    folder, sharded = Path(sys.argv[1]), sys.argv[2] == "sharded"
    with place(sharded=sharded) as here:
        for name in (name for name, job in JOBS.items() if job.sharded is sharded):
            scene = Scene(preset=JOBS[name].preset, source=BlobSource(TINY, BATCH), place=here)
            losses = train(name, folder, scene)
            gathered: list[list[float]] = [[] for _ in range(here.share.world)]
            dist.all_gather_object(gathered, losses)
            if here.share.rank == 0:
                (folder / f"{name}.json").write_text(json.dumps(gathered))


if __name__ == "__main__":
    main()
    leave(0)
