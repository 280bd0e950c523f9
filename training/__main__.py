"""`python -m training STAGE --preset nano --out runs/nano`: train one stage, or with `run` all of them in order.

A stage goes on from its newest checkpoint, and is done when its weights.safetensors is there.
Under torchrun the same command shards weights and batches over the processes.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from student.checkpoint import load, same_name
from student.vae import StreamingVae
from training import loop, stages
from training.batch import LatentSource
from training.dataset import LatentData
from training.distributed import place, stop_together
from training.draws import seed_of
from training.presets import PRESETS, Preset
from training.sheet import Sheets
from training.stage import Scene, Stage

STAGES = ("teacher", "forcing")


def main() -> int:
    arguments = _parse()
    preset = PRESETS[arguments.preset]
    names = STAGES if arguments.stage == "run" else (arguments.stage,)
    with place() as here:
        for name in names:
            folder = arguments.out / name
            if arguments.stage == "run" and (folder / loop.RESULT).exists():
                continue
            staged = _with_steps(preset, name, arguments.steps)
            scene = Scene(preset=staged, source=_source(staged, name, arguments), place=here)
            done = loop.train(
                _stage(name, scene, arguments),
                folder,
                pace=loop.Pace(
                    save_every=arguments.save_every, sample_every=arguments.sample_every, minutes=arguments.minutes
                ),
                share=here.share,
                draw=_sheets(staged, arguments.vae or arguments.out / "vae" / "vae.safetensors"),
                agree=stop_together,
            )
            if not done:
                return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("stage", choices=("run", *STAGES))
    parser.add_argument("--preset", choices=sorted(PRESETS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a folder in it for each stage")
    parser.add_argument("--data", type=Path, help="folder of latent shards (default: OUT/latents)")
    parser.add_argument("--shards", type=int, required=True, help="how many of them count")
    parser.add_argument("--vae", type=Path, help="weights that decode samples (default: OUT/vae/vae.safetensors)")
    parser.add_argument("--init", type=Path, help="weights to start from (default: the stage before)")
    parser.add_argument("--text", type=Path, help="weights of a text encoder that is not trained here")
    parser.add_argument("--steps", type=int, help="instead of the preset's")
    parser.add_argument("--minutes", type=float, help="stop with a checkpoint after so long")
    parser.add_argument("--save-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--sample-every", type=int, default=500, metavar="STEPS")
    return parser.parse_args()


def _with_steps(preset: Preset, name: str, steps: int | None) -> Preset:
    if steps is None:
        return preset
    config = dataclasses.replace(getattr(preset, name), steps=steps)
    return dataclasses.replace(preset, **{name: config})


def _source(preset: Preset, name: str, arguments: argparse.Namespace) -> LatentSource:
    config = getattr(preset, name)
    return LatentData(
        arguments.data or arguments.out / "latents",
        shards=arguments.shards,
        seed=seed_of(preset.seed, name),
        batch=config.batch,
        chunks=preset.chunks,
        chunk_frames=preset.geometry.chunk_frames,
        full_captions=config.full_captions,
    )


def _stage(name: str, scene: Scene, arguments: argparse.Namespace) -> Stage:
    def before(stage: str) -> Path:
        return arguments.init or arguments.out / stage / loop.RESULT

    if name == "teacher":
        return stages.teacher_stage(scene, init=arguments.init, text=arguments.text)
    return stages.forcing_stage(scene, init=before("teacher"), text=arguments.text)


def _sheets(preset: Preset, weights: Path) -> Sheets | None:
    """Samples are drawn where there is a decoder to draw them."""
    if preset.vae is None or not weights.exists():
        return None
    vae = preset.vae.build()
    load(vae, weights, rename=same_name)
    return Sheets(StreamingVae(vae).eval().requires_grad_(False))


if __name__ == "__main__":
    raise SystemExit(main())
