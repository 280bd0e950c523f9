"""The command line, which refuses what it would not heed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from contract.byte_tokenizer import VOCABULARY
from training.presets import PRESETS

RUN = "run"
CLIPS = "clips"
VAE = "vae"
LATENTS = "latents"
ORDER = (VAE, LATENTS, "teacher", "forcing", "reward", "dmd")
"""What `run` does; consistency distillation is the way out, by hand. Without a codec it begins with the teacher."""
_NETWORKS = ("teacher", "forcing", "reward", "dmd", "consistency")
_BACKBONES = ("teacher", "forcing", "dmd", "consistency")
_STAGES_OF: Mapping[str, Sequence[str]] = {
    "data": (LATENTS, *_NETWORKS),
    "workers": (CLIPS,),
    "vae": (LATENTS, *_NETWORKS),
    "init": (VAE, *_BACKBONES),
    "teacher": ("dmd",),
    "reward": ("dmd",),
    "vanilla": ("dmd",),
    "text": _BACKBONES,
    "tokenizer": _BACKBONES,
    "steps": (VAE, *_NETWORKS),
    "minutes": (VAE, *_NETWORKS),
}
"""Options that not every stage heeds; `run` heeds all."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of `python -m training`, or of `arguments`; ends the process with 2 if they make no sense."""
    parser = _parser()
    options = parser.parse_args(arguments)
    preset = PRESETS[options.preset]
    for name, heeding in _STAGES_OF.items():
        if options.stage not in (RUN, *heeding) and getattr(options, name) not in (None, False):
            parser.error(f"{options.stage}: heeds no --{name}")
    if not preset.codec:
        if options.stage in (CLIPS, VAE, LATENTS):
            parser.error(f"the preset {preset.name} trains no VAE: its latents come from elsewhere")
        if options.vae or options.workers:
            parser.error(f"the preset {preset.name} trains no VAE, and heeds neither --vae nor --workers")
        if not options.shards:
            parser.error(f"--shards: the preset {preset.name} does not say how many latent shards there are")
    if options.stage == RUN and options.data and preset.codec:
        if not options.vae:
            parser.error("run: --data comes with the --vae that made its latents")
        if options.workers:
            parser.error("run: with --data nothing is drawn, and --workers are not heeded")
    if options.stage == VAE and (options.steps is None) != (options.init is None):
        parser.error("vae: --init trains a codec on for --steps; from nothing, its steps are the preset's phases")
    if options.stage in (RUN, "teacher") and options.init is None:
        if options.text:
            parser.error("teacher: --text goes with a backbone to start from: --init")
        if not preset.teacher.train_text:
            parser.error(f"teacher: the preset {preset.name} starts from a published backbone: --init and --text")
    by_bytes = preset.text.vocabulary == VOCABULARY
    if options.tokenizer and by_bytes:
        parser.error(f"the preset {preset.name} reads bytes, and heeds no --tokenizer")
    if options.stage in (RUN, *_BACKBONES) and not (options.tokenizer or by_bytes):
        parser.error(f"--tokenizer: the preset {preset.name} has a published text encoder, which reads its own ids")
    if options.vanilla and options.reward:
        parser.error("dmd: --vanilla weighs by no --reward")
    return options


def stages(options: argparse.Namespace) -> list[str]:
    """What is to be done, in order; `run` makes nothing that an option brings or spares."""
    if options.stage != RUN:
        return [options.stage]
    spared = set()
    if options.vae:
        spared.add(VAE)
    if options.data or not PRESETS[options.preset].codec:
        spared |= {VAE, LATENTS}
    if options.vanilla or options.reward:
        spared.add("reward")
    names = [name for name in ORDER if name not in spared]
    return [CLIPS, *names] if options.workers else names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train one stage, or with `run` all of them in order; each goes on where it was stopped.",
        epilog="Exit status: 0 done, 1 stopped before the end, 2 refused.",
    )
    parser.add_argument("stage", choices=(RUN, CLIPS, *ORDER, "consistency"))
    parser.add_argument("--preset", choices=sorted(PRESETS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a folder in it for each stage")
    parser.add_argument("--data", type=Path, help="folder of latent shards (default: OUT/latents; run: make none)")
    parser.add_argument("--shards", type=_count, help="how many of them count (default: the preset's)")
    parser.add_argument("--workers", type=_count, help="processes that draw the world's clips, into OUT/clips")
    parser.add_argument("--vae", type=Path, help="the codec's weights (default: what OUT/vae holds; run: train none)")
    parser.add_argument("--init", type=Path, help="weights to start from (default: the stage before; run: the teacher)")
    parser.add_argument("--teacher", type=Path, help="dmd: weights of the scores (default: OUT/teacher)")
    parser.add_argument("--reward", type=Path, help="dmd: weights of the critic (default: OUT/reward)")
    parser.add_argument("--vanilla", action="store_true", help="dmd: no reward, every frame weighs the same")
    parser.add_argument("--text", type=Path, help="weights of a text encoder that is not trained here")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json of a published text encoder")
    parser.add_argument("--steps", type=_count, help="instead of the preset's (run: of every stage but the codec)")
    parser.add_argument("--minutes", type=float, help="stop training with a checkpoint after so long in all")
    parser.add_argument("--save-every", type=_count, default=50, metavar="STEPS")
    parser.add_argument("--sample-every", type=_count, default=500, metavar="STEPS")
    parser.add_argument(
        "--replicate", action="store_true", help="under torchrun: whole weights on each process, as small networks want"
    )
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return count
