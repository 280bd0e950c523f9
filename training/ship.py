"""`python -m training.ship --out runs/nano --stage forcing`: put a run's weights where the embedded student reads them.

Three safetensors files in float16, half of what the graphs take; the graphs are then made from these very values. The
codec must be the one whose latents the stage learnt from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from student import nano
from training import origin
from training.checkpoints import write_tensors
from training.loop import RESULT
from training.networks import NETWORK, TEXT_ENCODER
from training.origin import OriginError, check, digest


def ship(vae: Path, stage: Path, folder: Path) -> None:
    """Write `student`, `vae` and `text_encoder.safetensors` from what two stages left behind.

    Raises:
        FileNotFoundError: if a stage is not done.
    """
    trained = load_file(stage)
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in (
        ("vae", load_file(vae)),
        ("student", _under(trained, NETWORK)),
        ("text_encoder", _under(trained, TEXT_ENCODER)),
    ):
        write_tensors(
            folder / f"{name}.safetensors", {key: tensor.to(torch.float16) for key, tensor in tensors.items()}
        )
    nano.load(folder)  # says so, if something does not fit


def codec_made(vae: Path, stage: Path) -> None:
    """Find that a stage's latents were made by a codec; say so where the stage's folder does not know.

    Raises:
        OriginError: if another codec made them.
        FileNotFoundError: if there is no codec.
    """
    found = digest(vae)
    if (origin.read(stage) or {}).get("codec") is None:
        print(f"{stage} does not say which codec made its latents: {vae} is taken for it", file=sys.stderr)
    else:
        check(stage, {"codec": found})


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.ship", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--stage", default="dmd", help="whose weights (default: %(default)s)")
    parser.add_argument("--vae", type=Path, help="the codec's weights (default: what OUT/vae holds)")
    parser.add_argument("--to", type=Path, default=nano.WEIGHTS, help="folder (default: %(default)s)")
    arguments = parser.parse_args()
    vae, stage = arguments.vae or arguments.out / "vae" / RESULT, arguments.out / arguments.stage
    try:
        codec_made(vae, stage)
    except OriginError as error:
        raise SystemExit(str(error)) from error
    ship(vae, stage / RESULT, arguments.to)
    for path in sorted(arguments.to.glob("*.safetensors")):
        print(f"{path} {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
