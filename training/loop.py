"""The one loop of all stages: steps, checkpoints, samples; stops when told to and goes on as if it had not."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from training import checkpoints
from training.draws import WHOLE, Share
from training.progress import Progress
from training.stage import Sampled, Stage

RESULT = "weights.safetensors"
Draw = Callable[[Sampled, Path], None]
"""Latents to a picture for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When to save, to draw and to stop. `minutes`: stop with a checkpoint after so long; None: at the end."""

    save_every: int = 100
    sample_every: int = 500
    minutes: float | None = None


class Stop:
    """Whether someone asked for an end."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self.asked = True


def train(
    stage: Stage,
    folder: Path,
    *,
    pace: Pace,
    share: Share = WHOLE,
    draw: Draw | None = None,
    stop: Stop | None = None,
    agree: Callable[[bool], bool] = bool,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Train from the newest checkpoint in `folder`, if there is one, to the stage's last step.

    Args:
        stop: asked for by SIGTERM and SIGINT, too.
        agree: whether any process of several wants to stop; all wait for each other in it.

    Returns:
        True if the stage is done and its result written, False if it was stopped before.

    Raises:
        ValueError: if the checkpoint is of a longer training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = _resume(stage, folder)
    first = share.rank == 0
    progress = Progress(stage.name, folder, start=start, steps=stage.steps, clock=clock) if first else None
    deadline = None if pace.minutes is None else clock() + 60 * pace.minutes
    with _signals(stop or Stop()) as stopping:
        for step in range(start, stage.steps):
            metrics = stage.step(step)
            if progress:
                progress.report(step, metrics)
            done = step + 1
            enough = agree(stopping.asked or (deadline is not None and clock() >= deadline))
            if enough or done % pace.save_every == 0 or done == stage.steps:
                checkpoints.save(folder, done, stage.parts, writes=first)
                if progress:
                    progress.save()
            if draw and (done % pace.sample_every == 0 or done == stage.steps):
                sampled = stage.sample()
                if sampled and first:
                    draw(sampled, folder / f"samples-{done:07d}.png")
            if enough and done < stage.steps:
                return False
    # What is written stays: later stages know it by its bits, and another machine may round otherwise.
    if start < stage.steps or not (folder / RESULT).exists():
        result = stage.result()
        if first:
            checkpoints.write_tensors(folder / RESULT, result)
    agree(False)  # no process goes on to the next stage before the result is there
    return True


def _resume(stage: Stage, folder: Path) -> int:
    found = checkpoints.latest(folder)
    if not found:
        return 0
    checkpoint, step = found
    if step > stage.steps:
        raise ValueError(f"{checkpoint} is of {step} steps, and {stage.name} ends after {stage.steps}")
    checkpoints.restore(checkpoint, stage.parts)
    return step


@contextmanager
def _signals(stop: Stop) -> Iterator[Stop]:
    """SIGTERM and SIGINT ask for an end, once; a second one ends at once, as ever."""
    held = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.ask(number, frame)
        signal.signal(number, held[signal.Signals(number)])

    for number in held:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
