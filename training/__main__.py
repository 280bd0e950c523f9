"""`python -m training STAGE --preset nano --out runs/nano`: train one stage, or with `run` all of them in order.

With `--workers` the drawn world comes first, as pixels on disk, and codec and latents read it.
A stage goes on from its newest checkpoint, and is done when its weights.safetensors is there.
Under torchrun the same command shards weights and batches over the processes.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

from student.checkpoint import load, same_name
from student.vae import StreamingVae
from training import loop, stages
from training.batch import LatentSource
from training.clips import Clips, StreamShape, write_clips
from training.dataset import LatentData, write_shards
from training.distributed import leave, place, stop_together
from training.draws import seed_of
from training.place import Place
from training.presets import PRESETS, CodecConfig, Preset
from training.sheet import Sheets
from training.stage import Scene, Stage
from training.vae import VaeStage

CLIPS = "clips"
LATENTS = "latents"
ORDER = ("vae", LATENTS, "teacher", "forcing", "reward", "dmd")
"""What `run` does; consistency distillation is the way out, by hand. Without a codec it begins with the teacher."""


def main() -> int:
    arguments = _parse()
    whole = PRESETS[arguments.preset]
    names = [arguments.stage]
    if arguments.stage == "run":
        names = [name for name in ORDER if whole.codec or name not in ("vae", LATENTS)]
        if arguments.workers and whole.codec:
            names = [CLIPS, *names]
    with place(sharded=not arguments.replicate) as here:
        for name in names:
            folder = arguments.out / name
            if name == CLIPS:
                _write_clips(whole, here, arguments)
                continue
            if name == LATENTS:
                _write_latents(whole, here, arguments)
                continue
            if arguments.stage == "run" and (folder / loop.RESULT).exists():
                continue
            preset = _altered(whole, name, arguments)
            pace = loop.Pace(
                save_every=arguments.save_every, sample_every=arguments.sample_every, minutes=arguments.minutes
            )
            stage = (
                _codec_stage(preset, here, arguments)
                if name == "vae"
                else _network_stage(preset, name, here, arguments)
            )
            draw = _sheets(preset, stage, here, arguments)
            if not loop.train(stage, folder, pace=pace, share=here.share, draw=draw, agree=stop_together):
                return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("stage", choices=("run", CLIPS, *ORDER, "consistency"))
    parser.add_argument("--preset", choices=sorted(PRESETS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a folder in it for each stage")
    parser.add_argument("--data", type=Path, help="folder of latent shards (default: OUT/latents)")
    parser.add_argument("--shards", type=int, help="how many of them count (default: the preset's)")
    parser.add_argument("--workers", type=int, help="processes that draw the world's clips, into OUT/clips")
    parser.add_argument("--vae", type=Path, help=f"the codec's weights (default: OUT/vae/{loop.RESULT})")
    parser.add_argument("--init", type=Path, help="weights to start from (default: the stage before)")
    parser.add_argument("--teacher", type=Path, help="dmd: weights of the scores (default: OUT/teacher)")
    parser.add_argument("--reward", type=Path, help="dmd: weights of the critic (default: OUT/reward)")
    parser.add_argument("--vanilla", action="store_true", help="dmd: no reward, every frame weighs the same")
    parser.add_argument("--text", type=Path, help="weights of a text encoder that is not trained here")
    parser.add_argument("--steps", type=int, help="instead of the preset's")
    parser.add_argument("--minutes", type=float, help="stop with a checkpoint after so long")
    parser.add_argument("--save-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--sample-every", type=int, default=500, metavar="STEPS")
    parser.add_argument(
        "--replicate", action="store_true", help="under torchrun: whole weights on each process, as small networks want"
    )
    arguments = parser.parse_args()
    if arguments.stage in (CLIPS, "vae", LATENTS) and not PRESETS[arguments.preset].codec:
        parser.error(f"the preset {arguments.preset} trains no VAE: its latents come from elsewhere")
    if arguments.stage == "vae" and (arguments.steps is None) != (arguments.init is None):
        parser.error("vae: --init trains a codec on for --steps; from nothing, its steps are the preset's phases")
    return arguments


def _altered(preset: Preset, name: str, arguments: argparse.Namespace) -> Preset:
    """The preset with what the command line changes of it."""
    if name == "vae":
        if arguments.stage != name or arguments.steps is None:
            return preset
        assert preset.codec is not None
        return dataclasses.replace(preset, codec=preset.codec.continued(arguments.steps))
    changes = {} if arguments.steps is None else {"steps": arguments.steps}
    if name == "dmd" and arguments.vanilla:
        changes["tau"] = None
    return dataclasses.replace(preset, **{name: dataclasses.replace(getattr(preset, name), **changes)})


def _source(preset: Preset, name: str, here: Place, arguments: argparse.Namespace) -> LatentSource:
    config = getattr(preset, name)
    return LatentData(
        arguments.data or arguments.out / "latents",
        shards=_shards(preset, arguments),
        seed=seed_of(preset.seed, name),
        batch=config.batch,
        chunks=preset.chunks,
        chunk_frames=preset.geometry.chunk_frames,
        full_captions=config.full_captions,
        device=here.device,
    )


def _shards(preset: Preset, arguments: argparse.Namespace) -> int:
    if arguments.shards:
        return int(arguments.shards)
    if preset.codec is None:
        raise SystemExit(f"--shards: the preset {preset.name} does not say how many latent shards there are")
    return preset.codec.shards


def _codec_stage(preset: Preset, here: Place, arguments: argparse.Namespace) -> VaeStage:
    assert preset.codec is not None
    return VaeStage(
        preset.codec,
        size=_size(preset),
        seed=preset.seed,
        place=here,
        init=arguments.init if arguments.stage == "vae" else None,
        clips=_clips(preset, arguments),
    )


def _write_clips(preset: Preset, here: Place, arguments: argparse.Namespace) -> None:
    if here.share.rank == 0:
        write_clips(
            arguments.out / CLIPS,
            range(_shards(preset, arguments)),
            seed=preset.seed,
            shape=_stream_shape(preset),
            workers=arguments.workers or os.cpu_count() or 1,
        )
    stop_together(False)  # nobody goes on before all shards are there


def _write_latents(preset: Preset, here: Place, arguments: argparse.Namespace) -> None:
    assert preset.codec is not None
    write_shards(
        arguments.data or arguments.out / LATENTS,
        _shards(preset, arguments),
        vae=_codec(preset.codec, _codec_weights(arguments)).to(here.device),
        seed=preset.seed,
        shape=_stream_shape(preset),
        share=here.share,
        clips=_clips(preset, arguments),
    )
    stop_together(False)  # nobody goes on before all shards are there


def _clips(preset: Preset, arguments: argparse.Namespace) -> Clips | None:
    """What was drawn before, if anything was."""
    folder: Path = arguments.out / CLIPS
    return Clips(folder, range(_shards(preset, arguments))) if folder.exists() else None


def _stream_shape(preset: Preset) -> StreamShape:
    assert preset.codec is not None
    return StreamShape(latents=preset.codec.stream_latents, size=_size(preset))


def _size(preset: Preset) -> tuple[int, int]:
    return (preset.geometry.frame_height, preset.geometry.frame_width)


def _network_stage(preset: Preset, name: str, here: Place, arguments: argparse.Namespace) -> Stage:
    scene = Scene(preset=preset, source=_source(preset, name, here, arguments), place=here)
    return _stage(name, scene, arguments)


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


def _sheets(preset: Preset, stage: Stage, here: Place, arguments: argparse.Namespace) -> Sheets | None:
    """Samples are drawn where there is a decoder to draw them."""
    if isinstance(stage, VaeStage):
        return Sheets(StreamingVae(stage.vae).to(here.device))
    weights = _codec_weights(arguments)
    if preset.codec is None or not weights.exists():
        return None
    return Sheets(_codec(preset.codec, weights).to(here.device))


def _codec_weights(arguments: argparse.Namespace) -> Path:
    weights: Path = arguments.vae or arguments.out / "vae" / loop.RESULT
    return weights


def _codec(config: CodecConfig, weights: Path) -> StreamingVae:
    vae = config.network.build()
    load(vae, weights, rename=same_name)
    return StreamingVae(vae).eval().requires_grad_(False)


if __name__ == "__main__":
    leave(main())
