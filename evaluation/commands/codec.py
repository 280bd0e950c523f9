"""`codec`: what is lost between a drawing and its latents, on held-out clips."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from evaluation import options as shared
from evaluation import weights
from evaluation.cases import Case
from evaluation.intervals import interval
from evaluation.metrics.arrays import Frames
from evaluation.pool import Bench, each_case
from evaluation.reconstruction import reconstructed
from evaluation.report import provenance, write_json
from training.world import draw_clip, draw_truth

PLACES = ("picture", "garment", "head")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecTask:
    """PSNR in dB of one case's clip, by place."""

    frames: int

    def __call__(self, bench: Bench, case: Case) -> dict[str, float]:
        sample = case.sample
        clip = draw_clip(sample.person, sample.scene, sample.outfit, sample.motion, frames=self.frames, size=case.size)
        truth = draw_truth(
            sample.person, sample.outfit, sample.motion, sample.garment.type, frames=self.frames, size=case.size
        )
        shown = reconstructed(bench.student.vae, clip)
        where = {"picture": np.ones_like(truth.garment), "garment": truth.garment, "head": truth.head}
        return {place: psnr(clip, shown, where[place]) for place in PLACES}


def psnr(drawn: Frames, shown: Frames, where: NDArray[np.bool_]) -> float:
    """Of frames [T, H, W, 3] uint8, where the mask [T, H, W] is true, in dB of 255.

    Raises:
        ValueError: the mask is empty, or the frames are the same.
    """
    error = (drawn[where].astype(np.float64) - shown[where]) ** 2
    if not error.size or not error.any():
        raise ValueError("no error to measure: an empty mask, or the same frames")
    return float(10 * np.log10(255**2 / error.mean()))


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("codec", help="PSNR of the VAE on held-out clips", description=__doc__)
    shared.add_case_options(parser, cases=24)
    shared.add_student_options(parser)
    shared.add_out(parser)
    parser.add_argument("--latents", type=int, default=5, help="latent frames of each clip (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    cases = shared.chosen_cases(options)
    task = CodecTask(frames=1 + 4 * (options.latents - 1))
    marks = list(each_case(shared.setup(options), task, cases, workers=options.workers, title="codec"))
    means = {place: interval([case[place] for case in marks]) for place in PLACES}
    content = provenance(
        seeds=options.seeds,
        cases=len(marks),
        weights=options.weights,
        weights_sha256=weights.digest(options.weights),
        frames=task.frames,
    )
    write_json(options.out / "codec.json", content | {"psnr_db": {place: means[place].mean for place in PLACES}})
    lines = ["| | PSNR, dB |", "|---|---|"]
    lines += [
        f"| {place} | {means[place].mean:.1f} [{means[place].low:.1f}, {means[place].high:.1f}] |" for place in PLACES
    ]
    text = "\n".join(lines)
    (options.out / "codec.md").write_text(f"# The codec on {len(marks)} held-out clips\n\n{text}\n")
    Console().print(text, markup=False, soft_wrap=True)
    return 0
