"""`python -m benchmarks.stream HOST:PORT`: two sessions of a running service, one after the other, chunk by chunk.

The second one finds what the first one had to set up on its cache block, and switches the garment. Any student, any
executor: on a GPU this is the 5B student end to end (docs/performance.md).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from chameleon import AsyncChameleon, MediaFormat, Pacing
from demo.inputs import GARMENT, OTHER_GARMENT, PERSON, PROMPT

_FIRST_CHUNKS = 10
_STAGES = ("queue", "encode", "prefill", "denoise", "decode", "media")
Figures = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    sessions = asyncio.run(measure(options))
    write(options.out, sessions)
    for session in sessions:
        print(json.dumps({key: value for key, value in session.items() if key != "chunks"}))
    print(options.out)
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__)
    parser.add_argument("target", metavar="HOST:PORT")
    parser.add_argument("--out", type=Path, default=Path("out/stream.json"), help="default: %(default)s")
    parser.add_argument("--chunks", type=int, default=18, help="of the second session (default: %(default)s)")
    parser.add_argument("--switch-after", type=int, default=13, help="chunks of it (default: %(default)s)")
    parser.add_argument("--full-from", type=int, default=7, help="chunk from which on a window is full")
    parser.add_argument("--format", default="H264", choices=[format.name for format in MediaFormat])
    return parser.parse_args(arguments)


def write(path: Path, sessions: list[Figures]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"sessions": sessions}, indent=1) + "\n")


async def measure(options: argparse.Namespace) -> list[Figures]:
    media = MediaFormat[options.format]
    async with AsyncChameleon(options.target) as chameleon:
        first = await _session(chameleon, media, chunks=_FIRST_CHUNKS, full_from=options.full_from)
        second = await _session(
            chameleon, media, chunks=options.chunks, full_from=options.full_from, switch_after=options.switch_after
        )
    return [{"what": "first on its block"} | first, {"what": "second on its block, with a switch"} | second]


async def _session(
    chameleon: AsyncChameleon, media: MediaFormat, *, chunks: int, full_from: int, switch_after: int | None = None
) -> Figures:
    rows: list[Figures] = []
    switch: Figures = {}
    last, switched = time.perf_counter(), 0.0
    async with chameleon.open_session(
        person=PERSON, garment=GARMENT, prompt=PROMPT, seed=1, pacing=Pacing.UNPACED, format=media
    ) as stream:
        async for chunk in stream:
            now = time.perf_counter()
            stages = {stage: round(getattr(chunk.timings, stage), 4) for stage in _STAGES}
            rows.append({"sequence": chunk.sequence, "frames": chunk.frame_count, "gap_s": now - last} | stages)
            last = now
            if chunk.applied:
                switch |= {"first_chunk_s": now - switched, "chunk": chunk.sequence}
            if len(rows) == switch_after:
                garment = await chameleon.create_garment(OTHER_GARMENT)
                switched = time.perf_counter()
                await stream.switch(garment.name)
                switch = {"asked_after_chunk": chunk.sequence, "accepted_s": time.perf_counter() - switched}
            if len(rows) == chunks:
                break
    end = switch.get("chunk", chunks)
    steady = [row for row in rows if full_from <= row["sequence"] < end]
    seconds = sum(row["gap_s"] for row in steady)
    return {
        "format": media.name,
        "first_frame_s": rows[0]["gap_s"],
        "steady": {
            "chunks": len(steady),
            "frames_per_s": sum(row["frames"] for row in steady) / seconds if seconds else None,
            "median_gap_s": statistics.median(row["gap_s"] for row in steady) if steady else None,
        },
        "switch": switch or None,
        "chunks": rows,
    }


if __name__ == "__main__":
    sys.exit(main())
