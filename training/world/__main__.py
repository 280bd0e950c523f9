"""`python -m training.world sheet` draws a contact sheet, `pictures` the pictures for a demo."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from PIL import Image

from training.world.frame import SIZE, product_picture
from training.world.garment import GarmentType, Pattern
from training.world.motion import Action
from training.world.sample import Sample, draw_sample
from training.world.sheet import sheet
from training.world.split import Split

_LARGE = (768, 512)


def main() -> None:
    arguments = _parse()
    arguments.run(arguments)


def _parse() -> Namespace:
    parser = ArgumentParser(prog="python -m training.world", description=__doc__)
    commands = parser.add_subparsers(required=True)
    sheets = commands.add_parser("sheet", help="rows of reference, product and frames")
    sheets.add_argument("--seed", type=int, default=0, help="of the first row")
    sheets.add_argument("--count", type=int, default=6, help="rows")
    sheets.add_argument("--split", type=Split, choices=list(Split), default=Split.EVALUATION)
    sheets.add_argument("--action", type=Action, choices=list(Action))
    sheets.add_argument("--rows", type=int, default=SIZE[0], help="a picture's height in pixels")
    sheets.add_argument("--out", type=Path, required=True)
    sheets.set_defaults(run=_sheet)
    pictures = commands.add_parser("pictures", help="person.jpg and garment-*.png, 768x512, of the evaluation split")
    pictures.add_argument("--seed", type=int, default=0, help="where to begin to look for a telling sample")
    pictures.add_argument("--out", type=Path, required=True, help="a folder")
    pictures.set_defaults(run=_pictures)
    return parser.parse_args()


def _sheet(arguments: Namespace) -> None:
    size = (arguments.rows, arguments.rows * SIZE[1] // SIZE[0])
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    samples = [draw_sample(seed, arguments.split, size=size, action=arguments.action) for seed in seeds]
    sheet(samples).save(arguments.out)


def _pictures(arguments: Namespace) -> None:
    sample = _telling(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sample.reference).save(arguments.out / "person.jpg", quality=92)
    for garment in (sample.garment, sample.other):
        name = f"garment-{garment.colour.title}-{garment.pattern}.png"
        Image.fromarray(product_picture(garment, _LARGE)).save(arguments.out / name)
    print(f"seed {sample.seed}: {sample.static_caption} {sample.dynamic_caption}")


def _telling(seed: int) -> Sample:
    """The first sample from `seed` on whose three tops have different patterns, one of the two to put on plain."""
    while True:
        sample = draw_sample(seed, Split.EVALUATION, frames=1, kind=GarmentType.UPPER)
        patterns = [g.pattern for g in (sample.worn, sample.garment, sample.other)]
        if len(set(patterns)) == 3 and Pattern.PLAIN in patterns[1:]:
            return draw_sample(seed, Split.EVALUATION, frames=1, size=_LARGE, kind=GarmentType.UPPER)
        seed += 1


if __name__ == "__main__":
    main()
