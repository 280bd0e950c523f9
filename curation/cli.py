"""The commands. Exit status: 0 done, 1 clips wait for a model that failed, 2 wrong input, 130 interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from curation import config as configuration
from curation.ledger import Stage
from curation.models.cast import ConfiguredCast
from curation.pipeline import ROLES, Pipeline
from curation.report import gather, write_report
from curation.review import decisions_file, offer, read_decisions
from curation.roles import CAPTIONS
from curation.sheet import write_sheets
from curation.store import Store
from curation.triplets import MANIFEST, chosen, triplets, write_manifest
from curation.work import GivenUp

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="From videos to triplets, in the paper's four stages."
)
Videos = Annotated[Path, typer.Option(help="a folder with videos, also in folders below")]
Out = Annotated[Path, typer.Option(help="where everything goes; a run that was stopped goes on")]
ConfigFile = Annotated[Path, typer.Option("--config", help="curation.yaml")]
console = Console(stderr=True)
_WAITING, _WRONG_INPUT, _INTERRUPTED = 1, 2, 130
_SHOWN = 5


@app.callback()
def main() -> None:
    """From videos to triplets, in the paper's four stages."""


@app.command()
def run(videos: Videos, out: Out, config: ConfigFile) -> None:
    """All four stages, then the triplets."""
    _stages(videos, out, config, tuple(ROLES))


@app.command(name="filter")
def filter_(videos: Videos, out: Out, config: ConfigFile) -> None:
    """Stage 1: subclips of single, moving persons, seen well."""
    _stages(videos, out, config, (Stage.FILTER,))


@app.command()
def caption(videos: Videos, out: Out, config: ConfigFile) -> None:
    """Stage 2: dynamic and static captions."""
    _stages(videos, out, config, (Stage.CAPTION,))


@app.command()
def garment(videos: Videos, out: Out, config: ConfigFile) -> None:
    """Stage 3: the garment's picture, from the first frame."""
    _stages(videos, out, config, (Stage.GARMENT,))


@app.command()
def reference(videos: Videos, out: Out, config: ConfigFile) -> None:
    """Stage 4: the first frame in another garment."""
    _stages(videos, out, config, (Stage.REFERENCE,))


@app.command(name="triplets")
def triplets_(videos: Videos, out: Out, config: ConfigFile) -> None:
    """Manifest, report and contact sheets of what there is; heeds the decisions in OUT/review/decisions.csv."""
    with _told():
        asked = configuration.load(config)
        store = Store(videos, out)
        store.begin(asked)
        _finish(store, asked)


@app.command()
def latents(
    out: Annotated[Path, typer.Option(help="a curation's folder, with its manifest")],
    vae: Annotated[Path, typer.Option(help="the VAE's weights, .safetensors in diffusers' key names")],
    data: Annotated[Path, typer.Option(help="folder for the shards: `python -m training --data`")],
    student: Annotated[str, typer.Option(help="nano or 5b")] = "5b",
    frames: Annotated[
        int, typer.Option("--latents", min=2, help="latent frames of a stream; shorter clips stay out")
    ] = 21,
    caption: Annotated[str, typer.Option(help="cn_long, cn_short, en_long or en_short")] = "en_long",
    device: Annotated[str, typer.Option()] = "cpu",
) -> None:
    """The manifest's triplets as latent shards that training reads (needs the extra `student`)."""
    # PyTorch is needed here alone.
    from curation import latents as made

    with _told():
        if student not in made.STUDENTS or caption not in CAPTIONS:
            raise ValueError(f"students: {', '.join(made.STUDENTS)}; captions: {', '.join(CAPTIONS)}")
        geometry = made.STUDENTS[student][1]
        size = (geometry.frame_height, geometry.frame_width)
        shape = made.LatentShape(size=size, rate=geometry.frames_per_second, latents=frames, caption=caption)
        every = made.read_manifest(out / MANIFEST)
        rows = [row for row in every if shape.holds(row)]
        opened = made.open_vae(student, vae, device)
        paths = made.write_shards(out, rows, data, vae=opened, shape=shape, made_by=made.digest(vae))
        print(
            f"{len(rows)} streams in {len(paths)} shards (train with --shards {len(paths)}); "
            f"{len(every) - len(rows)} clips are too short"
        )


def _stages(videos: Path, out: Path, config: Path, stages: Sequence[Stage]) -> None:
    with _told():
        asked = configuration.load(config)
        store, cast = Store(videos, out), ConfiguredCast(asked, videos)
        cast.check(*dict.fromkeys(role for stage in stages for role in ROLES[stage]))
        store.begin(asked)
        pipeline = Pipeline(store=store, config=asked, cast=cast, console=console)
        for stage in stages:
            pipeline.run(stage)
        _finish(store, asked)
    if pipeline.troubles:
        for trouble in pipeline.troubles[:_SHOWN]:
            console.print(f"[yellow]waits:[/yellow] {escape(trouble)}", soft_wrap=True, highlight=False)
        _fail(f"models failed for {len(pipeline.troubles)} clips; the same command tries them again", _WAITING)


def _finish(store: Store, asked: configuration.Config) -> None:
    found = list(triplets(store))
    offered = decisions_file(store.out)
    offer(offered, [triplet.clip.id for triplet in found])
    decisions = read_decisions(offered)
    kept = chosen(found, decisions, required=asked.review.required)
    write_manifest(store.out, kept)
    write_sheets(store.out / "review", found)
    report = gather(store, decisions, triplets=len(kept))
    write_report(store.out, report)
    print(report.markdown(), end="")


@contextmanager
def _told() -> Iterator[None]:
    """What a user can do something about is said in a line, not in a trace."""
    try:
        yield
    except GivenUp as error:
        _fail(error, _WAITING)
    except (ValueError, OSError) as error:
        _fail(error, _WRONG_INPUT)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on", _INTERRUPTED)


def _fail(why: object, status: int) -> NoReturn:
    console.print(f"[red]error:[/red] {escape(str(why))}", soft_wrap=True, highlight=False)
    raise typer.Exit(status)
