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

ORDER = ("teacher", "forcing", "reward", "dmd")
"""What `run` trains; consistency distillation is the way out, by hand."""


def main() -> int:
    arguments = _parse()
    with place() as here:
        for name in ORDER if arguments.stage == "run" else (arguments.stage,):
            folder = arguments.out / name
            if arguments.stage == "run" and (folder / loop.RESULT).exists():
                continue
            preset = _altered(PRESETS[arguments.preset], name, arguments)
            scene = Scene(preset=preset, source=_source(preset, name, arguments), place=here)
            pace = loop.Pace(
                save_every=arguments.save_every, sample_every=arguments.sample_every, minutes=arguments.minutes
            )
            draw = _sheets(preset, arguments.vae or arguments.out / "vae" / "vae.safetensors")
            stage = _stage(name, scene, arguments)
            if not loop.train(stage, folder, pace=pace, share=here.share, draw=draw, agree=stop_together):
                return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("stage", choices=("run", *ORDER, "consistency"))
    parser.add_argument("--preset", choices=sorted(PRESETS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a folder in it for each stage")
    parser.add_argument("--data", type=Path, help="folder of latent shards (default: OUT/latents)")
    parser.add_argument("--shards", type=int, required=True, help="how many of them count")
    parser.add_argument("--vae", type=Path, help="weights that decode samples (default: OUT/vae/vae.safetensors)")
    parser.add_argument("--init", type=Path, help="weights to start from (default: the stage before)")
    parser.add_argument("--teacher", type=Path, help="dmd: weights of the scores (default: OUT/teacher)")
    parser.add_argument("--reward", type=Path, help="dmd: weights of the critic (default: OUT/reward)")
    parser.add_argument("--vanilla", action="store_true", help="dmd: no reward, every frame weighs the same")
    parser.add_argument("--text", type=Path, help="weights of a text encoder that is not trained here")
    parser.add_argument("--steps", type=int, help="instead of the preset's")
    parser.add_argument("--minutes", type=float, help="stop with a checkpoint after so long")
    parser.add_argument("--save-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--sample-every", type=int, default=500, metavar="STEPS")
    return parser.parse_args()


def _altered(preset: Preset, name: str, arguments: argparse.Namespace) -> Preset:
    """The preset with what the command line changes of it."""
    changes = {} if arguments.steps is None else {"steps": arguments.steps}
    if name == "dmd" and arguments.vanilla:
        changes["tau"] = None
    return dataclasses.replace(preset, **{name: dataclasses.replace(getattr(preset, name), **changes)})


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
    def left_by(stage: str, chosen: Path | None) -> Path:
        default: Path = arguments.out / stage / loop.RESULT
        return chosen or default

    init, text = arguments.init, arguments.text
    if name == "teacher":
        return stages.teacher_stage(scene, init=init, text=text)
    if name == "forcing":
        return stages.forcing_stage(scene, init=left_by("teacher", init), text=text)
    if name == "reward":
        return stages.reward_stage(scene)
    if name == "consistency":
        return stages.consistency_stage(scene, init=left_by("forcing", init), text=text)
    critic = None if arguments.vanilla else stages.trained_reward(scene, left_by("reward", arguments.reward))
    return stages.dmd_stage(
        scene,
        generator=left_by("forcing", init),
        teacher=left_by("teacher", arguments.teacher),
        reward=critic,
        text=text,
    )


def _sheets(preset: Preset, weights: Path) -> Sheets | None:
    """Samples are drawn where there is a decoder to draw them."""
    if preset.vae is None or not weights.exists():
        return None
    vae = preset.vae.build()
    load(vae, weights, rename=same_name)
    return Sheets(StreamingVae(vae).eval().requires_grad_(False))


if __name__ == "__main__":
    raise SystemExit(main())
