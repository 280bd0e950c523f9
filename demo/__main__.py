"""`python -m demo`: start the service, try on a garment, switch to another mid-stream, write the video, stop."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from chameleon import AsyncChameleon, Chunk
from chameleon.tryon import PlannedSwitch, TryOnReport, run
from demo.inputs import GARMENT, OTHER_GARMENT, PERSON, PROMPT
from demo.local_service import local_service
from demo.sheet import contact_sheet, read_frames

SWITCH_S = 4.0
LENGTH_S = 9.0
SEED = 7

console = Console()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--person", type=Path, default=PERSON)
    parser.add_argument("--garment", type=Path, default=GARMENT)
    parser.add_argument("--other-garment", type=Path, default=OTHER_GARMENT)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    video, sheet = options.out / "demo.mp4", options.out / "demo.png"

    console.print("Starting tritonserver and the orchestrator on the loopback interface ...")
    with local_service(options.out / "demo-service") as service:
        console.print(f"Ready: gRPC on {service.address}, metrics on http://{service.metrics}/metrics")
        report = asyncio.run(_try_on(service.address, options, video))
    frames = read_frames(video)
    (switch,) = report.switches
    if switch.first_frame is None:
        console.print(f"[red]The switch did not take effect: {switch.rejected}")
        return 1
    inputs = [
        (caption, Image.open(path).convert("RGB"))
        for caption, path in (
            ("person", options.person),
            ("first garment", options.garment),
            ("second garment", options.other_garment),
        )
    ]
    contact_sheet(frames, switch.first_frame, inputs).save(sheet)
    _print(report, len(frames))
    console.print(f"\nVideo:         {video}\nContact sheet: {sheet}")
    return 0


async def _try_on(address: str, options: argparse.Namespace, video: Path) -> TryOnReport:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with video.open("wb") as file, Progress(*columns, console=console) as progress:
        bar = progress.add_task("Receiving video", total=LENGTH_S)
        async with AsyncChameleon(address) as client:
            return await run(
                client,
                person=options.person,
                garment=options.garment,
                prompt=PROMPT,
                switches=[PlannedSwitch(at_s=SWITCH_S, garment=options.other_garment)],
                seconds=LENGTH_S,
                seed=SEED,
                on_chunk=lambda chunk: _received(chunk, file, progress, bar),
            )


def _received(chunk: Chunk, file: BinaryIO, progress: Progress, bar: TaskID) -> None:
    file.write(chunk.data)
    progress.update(bar, completed=chunk.pts_s + chunk.duration_s)
    if chunk.applied:
        progress.console.print(f"The garment changes at frame {chunk.first_frame}.")


def _print(report: TryOnReport, decoded_frames: int) -> None:
    (switch,) = report.switches
    rows = [
        ("time to first frame", f"{report.time_to_first_frame_s:.2f} s"),
        ("frames", f"{report.frames} received, {decoded_frames} decoded from the file"),
        ("frames per second", _or_dash(report.frames_per_second, ".0f")),
        ("real-time factor", _or_dash(report.realtime_factor, ".1f")),
        ("switch accepted", f"{1000 * switch.accepted_s:.0f} ms after it was asked for"),
        ("switch applied", f"{_or_dash(switch.applied_s, '.2f')} s"),
        ("its first frame received", f"{_or_dash(switch.first_frame_s, '.2f')} s"),
        ("switch shows from frame", str(switch.first_frame)),
    ]
    table = Table(show_header=False, box=None)
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


if __name__ == "__main__":
    sys.exit(main())
