"""`python -m training STAGE --preset nano --out runs/nano`: train one stage, or with `run` all of them in order.

With `--workers` the drawn world comes first, as pixels on disk, and codec and latents read it.
A stage goes on from its newest checkpoint, and is done when its weights.safetensors is there; a folder that was made of
something else is refused.
Under torchrun the same command shards weights and batches over the processes.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

from student.checkpoint import load, same_name
from student.vae import StreamingVae
from training import loop, options, stages
from training.clips import write_clips
from training.dataset import LatentData, write_shards
from training.distributed import leave, place, stop_together
from training.draws import seed_of
from training.inputs import Inputs
from training.options import CLIPS, LATENTS, RUN, VAE
from training.origin import bind
from training.place import Place
from training.presets import PRESETS, CodecConfig, Preset
from training.sheet import Sheets
from training.stage import Scene, Stage
from training.vae import VaeStage

_STOPPED, _REFUSED = 1, 2


def main() -> int:
    arguments = options.parse()
    began = time.monotonic()
    with place(sharded=not arguments.replicate) as here:
        try:
            done = all(_do(name, here, arguments, began=began) for name in options.stages(arguments))
        except (ValueError, FileNotFoundError) as error:  # the caller's mistake; another OSError is the machine's
            print(f"python -m training: {error}", file=sys.stderr)
            return _REFUSED
    return 0 if done else _STOPPED


def _do(name: str, here: Place, arguments: argparse.Namespace, *, began: float) -> bool:
    """One stage; whether it is done, or else was stopped."""
    preset = _altered(PRESETS[arguments.preset], name, arguments)
    inputs = Inputs(preset, arguments)
    folder = inputs.latents if name == LATENTS else arguments.out / name
    bind(folder, inputs.origin(name), writes=here.share.rank == 0)
    if name == CLIPS:
        _write_clips(folder, preset, inputs, here, workers=arguments.workers)
        return True
    if name == LATENTS:
        _write_latents(folder, preset, inputs, here)
        return True
    if arguments.stage == RUN and (folder / loop.RESULT).exists():
        return True
    stage = _codec_stage(preset, inputs, here) if name == VAE else _network_stage(name, preset, inputs, here)
    gone_m = (time.monotonic() - began) / 60
    return loop.train(
        stage,
        folder,
        pace=loop.Pace(
            save_every=arguments.save_every,
            sample_every=arguments.sample_every,
            minutes=None if arguments.minutes is None else arguments.minutes - gone_m,
        ),
        share=here.share,
        draw=_sheets(preset, stage, inputs, here),
        agree=stop_together,
    )


def _altered(preset: Preset, name: str, arguments: argparse.Namespace) -> Preset:
    """The preset with what the command line changes of it."""
    if name in (CLIPS, LATENTS):
        return preset
    if name == VAE:
        if arguments.stage != name or arguments.steps is None:
            return preset
        assert preset.codec is not None
        return dataclasses.replace(preset, codec=preset.codec.continued(arguments.steps))
    changes = {} if arguments.steps is None else {"steps": arguments.steps}
    if name == "dmd" and arguments.vanilla:
        changes["tau"] = None
    return dataclasses.replace(preset, **{name: dataclasses.replace(getattr(preset, name), **changes)})


def _write_clips(folder: Path, preset: Preset, inputs: Inputs, here: Place, *, workers: int | None) -> None:
    if here.share.rank == 0:
        write_clips(
            folder,
            range(inputs.shards),
            seed=preset.seed,
            shape=inputs.stream_shape,
            workers=workers or os.cpu_count() or 1,
        )
    stop_together(False)  # nobody goes on before all shards are there


def _write_latents(folder: Path, preset: Preset, inputs: Inputs, here: Place) -> None:
    assert preset.codec is not None
    write_shards(
        folder,
        inputs.shards,
        vae=_codec(preset.codec, inputs.codec).to(here.device),
        seed=preset.seed,
        shape=inputs.stream_shape,
        share=here.share,
        clips=inputs.clips(),
    )
    stop_together(False)  # nobody goes on before all shards are there


def _codec_stage(preset: Preset, inputs: Inputs, here: Place) -> VaeStage:
    assert preset.codec is not None
    init = inputs.weights(VAE)["init"]
    return VaeStage(preset.codec, size=inputs.size, seed=preset.seed, place=here, init=init, clips=inputs.clips())


def _network_stage(name: str, preset: Preset, inputs: Inputs, here: Place) -> Stage:
    config = getattr(preset, name)
    source = LatentData(
        inputs.latents,
        shards=inputs.shards,
        seed=seed_of(preset.seed, name),
        batch=config.batch,
        chunks=preset.chunks,
        chunk_frames=preset.geometry.chunk_frames,
        full_captions=config.full_captions,
        device=here.device,
    )
    tokenize = inputs.tokenize(name)
    return _stage(name, Scene(preset=preset, source=source, place=here, tokenize=tokenize), inputs)


def _stage(name: str, scene: Scene, inputs: Inputs) -> Stage:
    if name == "reward":
        return stages.reward_stage(scene)
    found = inputs.weights(name)
    init, text = found["init"], found["text"]
    if name == "teacher":
        return stages.teacher_stage(scene, init=init, text=text)
    assert init is not None
    if name == "forcing":
        return stages.forcing_stage(scene, init=init, text=text)
    if name == "consistency":
        return stages.consistency_stage(scene, init=init, text=text)
    teacher, reward = found["teacher"], found["reward"]
    assert teacher is not None
    critic = None if reward is None else stages.trained_reward(scene, reward)
    return stages.dmd_stage(scene, generator=init, teacher=teacher, reward=critic, text=text)


def _sheets(preset: Preset, stage: Stage, inputs: Inputs, here: Place) -> Sheets | None:
    """Samples are drawn where there is a decoder to draw them."""
    if isinstance(stage, VaeStage):
        return Sheets(StreamingVae(stage.vae).to(here.device))
    if preset.codec is None or not inputs.codec.exists():
        return None
    return Sheets(_codec(preset.codec, inputs.codec).to(here.device))


def _codec(config: CodecConfig, weights: Path) -> StreamingVae:
    vae = config.network.build()
    load(vae, weights, rename=same_name)
    return StreamingVae(vae).eval().requires_grad_(False)


if __name__ == "__main__":
    leave(main())
