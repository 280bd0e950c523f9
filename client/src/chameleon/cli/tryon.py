"""`chameleon try-on`: a video from two pictures, with switches, written to a file and measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer
from rich.console import Group
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from chameleon import tryon
from chameleon.cli.context import SERVICE_ERROR, Context
from chameleon.client import AsyncChameleon
from chameleon.tryon import DEFAULT_PROMPT, PlannedSwitch, SwitchReport, TryOnReport
from chameleon.types import Chunk, EndReason, GarmentSource, MediaFormat, Pacing, Policy

_MAX_SEED = (1 << 64) - 1
_SWITCH = re.compile(r"(?P<at>\d+(\.\d+)?)s?=(?P<garment>.+)")

FormatName = Literal["h264", "jpeg", "raw"]
PacingName = Literal["realtime", "unpaced"]
PolicyName = Literal["refresh", "refresh-withdraw", "refresh-withdraw-disentangle", "keep-motion"]


def garment_argument(text: str) -> GarmentSource:
    """`garments/...` or a file."""
    if text.startswith("garments/") and not Path(text).exists():
        return text
    if not Path(text).is_file():
        raise typer.BadParameter(f"{text} is neither a file nor a garment's name (garments/...)")
    return Path(text)


def switch_argument(text: str) -> PlannedSwitch:
    """`2s=coat.png`: after two seconds of video, the coat."""
    match = _SWITCH.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} must be a time and a garment, like 2s=coat.png")
    return PlannedSwitch(at_s=float(match["at"]), garment=garment_argument(match["garment"]))


def try_on(
    ctx: typer.Context,
    person: Annotated[Path, typer.Option(exists=True, dir_okay=False, readable=True, help="A photo of the person.")],
    garment: Annotated[str, typer.Option(help="A picture of the garment, or garments/{garment}.")],
    out: Annotated[Path, typer.Option(dir_okay=False, writable=True, help="Where the video goes.")],
    switch: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME=GARMENT", help="2s=coat.png: once 2 s of video have come, the coat. Repeatable."),
    ] = None,
    prompt: Annotated[str, typer.Option(help="What the person does.")] = DEFAULT_PROMPT,
    seed: Annotated[int, typer.Option(min=0, max=_MAX_SEED, help="0: the service chooses.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(help="Length of the video. Default: 5 s more than the last switch.")
    ] = None,
    policy: Annotated[PolicyName | None, typer.Option(help="What a switch does to the cache; for experiments.")] = None,
    format: Annotated[FormatName, typer.Option(help="h264: an MP4; jpeg, raw: frames in a row.")] = "h264",
    pacing: Annotated[PacingName, typer.Option(help="As fast as it goes, or at playing speed.")] = "unpaced",
) -> None:
    """Make a video of a person wearing a garment, and switch it on the way."""
    context: Context = ctx.obj
    first, switches = garment_argument(garment), [switch_argument(text) for text in switch or ()]
    if not out.parent.is_dir():
        raise typer.BadParameter(f"{out.parent} is no directory", param_hint="--out")
    with _progress(context) as progress:

        async def work(chameleon: AsyncChameleon) -> TryOnReport:
            with _writing(out) as write:  # closed in here: a disk that is full may say so only then

                def on_chunk(chunk: Chunk) -> None:
                    write(chunk.data)
                    progress(chunk)

                return await tryon.run(
                    chameleon,
                    person=person,
                    garment=first,
                    prompt=prompt,
                    switches=switches,
                    seconds=seconds,
                    seed=seed,
                    format=MediaFormat[format.upper()],
                    pacing=Pacing[pacing.upper()],
                    policy=None if policy is None else Policy[policy.upper().replace("-", "_")],
                    on_chunk=on_chunk,
                )

        report = context.run(work)
    context.show({"out": str(out), **_as_dict(report)}, lambda: _summary(report, out))
    if report.end_reason is not EndReason.COMPLETED:
        context.tell(f"the session ended early, {report.end_reason.name.lower()}: the video is not whole")
        raise typer.Exit(SERVICE_ERROR)


@contextmanager
def _writing(path: Path) -> Iterator[Callable[[bytes], None]]:
    """The file is made with the first bytes: no video, no file."""
    file: BinaryIO | None = None

    def write(data: bytes) -> None:
        nonlocal file
        if file is None:
            file = path.open("wb")
        file.write(data)

    try:
        yield write
    finally:
        if file is not None:
            file.close()


@contextmanager
def _progress(context: Context) -> Iterator[Callable[[Chunk], None]]:
    """Progress on standard error, where it is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(pulse_style="cyan"), TimeElapsedColumn())
    with Progress(*columns, console=context.err, transient=True, disable=not context.err.is_terminal) as progress:
        task = progress.add_task("waiting for the first frame", total=None)

        def advance(chunk: Chunk) -> None:
            for applied in chunk.applied:
                progress.console.print(f"switched to {chunk.garment} at frame {applied.first_frame}")
            end_s = chunk.pts_s + chunk.duration_s
            progress.update(task, description=f"{end_s:.1f} s of video, frame {chunk.first_frame + chunk.frame_count}")

        yield advance


def _as_dict(report: TryOnReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in report.__dataclass_fields__}


def _summary(report: TryOnReport, out: Path) -> Group:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("video", f"{out}: {report.frames} frames, {report.video_s:.1f} s, {report.media_bytes / 1e6:.2f} MB")
    facts.add_row("session", report.session.name)
    if report.session.affinity is not None:
        facts.add_row("affinity", report.session.affinity)
    facts.add_row("seed", str(report.session.seed))
    facts.add_row("time to first frame", f"{report.time_to_first_frame_s:.3f} s")
    if report.frames_per_second is not None and report.realtime_factor is not None:
        facts.add_row("frames per second", f"{report.frames_per_second:.1f}")
        facts.add_row("real-time factor", f"{report.realtime_factor:.2f}")
    if report.degraded:
        facts.add_row("degraded", f"{report.degraded} of {report.chunks} chunks, which would have been late")
    lines = [_switch_line(number, switch) for number, switch in enumerate(report.switches, 1)]
    if report.switches_too_late:
        lines.append(f"{report.switches_too_late} switches came too late: the session had made all its video")
    return Group(facts, *lines)


def _switch_line(number: int, switch: SwitchReport) -> str:
    if switch.rejected is not None:
        return f"switch {number} did not take effect: {switch.rejected}"
    return (
        f"switch {number} asked for at {switch.asked_at_s:.1f} s: accepted after {_ms(switch.accepted_s)}, "
        f"applied after {_ms(switch.applied_s)}, first frame received after {_ms(switch.first_frame_s)}; "
        f"it took effect at frame {switch.first_frame} ({switch.pts_s:.2f} s)"
    )


def _ms(value_s: float | None) -> str:
    return "?" if value_s is None else f"{value_s * 1000:.0f} ms"
