"""`hgc-bench`: the paper's benchmark through a running service: videos, and the metrics whose models are here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from chameleon import Chameleon, MediaFormat, Pacing
from evaluation import options as shared
from evaluation.hgc.bench import BenchSample, read_bench
from evaluation.hgc.judges import NAMES, open_judge
from evaluation.intervals import interval
from evaluation.metrics.arrays import Frames
from evaluation.report import provenance, write_json

FRAMES = 81
"""Of the paper's videos."""
_SHEET_FRAMES = 8
_TIMEOUT_S = 120.0


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("hgc-bench", help="the paper's benchmark through a service", description=__doc__)
    parser.add_argument("--bench", type=Path, required=True, metavar="DIR", help="the benchmark's folder")
    shared.add_endpoint(parser, required=True)
    shared.add_out(parser)
    parser.add_argument("--metrics", default="Amp", help=f"comma-separated, of {', '.join(NAMES)} (default: Amp)")
    parser.add_argument(
        "--model", action="append", default=[], metavar="METRIC=PATH", help="where a metric's model lies; repeatable"
    )
    parser.add_argument("--seed", type=int, default=101, help="of every session (default: %(default)s)")
    parser.add_argument("--max-prompt-bytes", type=int, help="cut prompts behind a word (default: leave them whole)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    models = {name: Path(path) for name, _, path in (given.partition("=") for given in options.model)}
    judges = {name: open_judge(name, models) for name in options.metrics.split(",")}
    samples = read_bench(options.bench)
    options.out.mkdir(parents=True, exist_ok=True)
    console, marks = Console(), []
    with Chameleon(options.endpoint, timeout_s=_TIMEOUT_S) as client:
        for sample in track(samples, "HGC-Bench", console=Console(stderr=True)):
            prompt = _cut(sample.prompt, options.max_prompt_bytes)
            video = make_video(client, sample, prompt, seed=options.seed)
            _save(video, options.out / f"hgc-{sample.name}.jpg")
            marks.append({name: judge(video, sample) for name, judge in judges.items()})
    text = _table(marks, tuple(judges))
    content = provenance(endpoint=options.endpoint, seed=options.seed, frames=FRAMES, samples=len(samples))
    content["by_sample"] = [{"sample": s.name, "marks": m} for s, m in zip(samples, marks, strict=True)]
    write_json(options.out / "hgc-bench.json", content)
    (options.out / "hgc-bench.md").write_text(f"# HGC-Bench\n\n{len(samples)} samples.\n\n{text}\n")
    console.print(text, markup=False, soft_wrap=True)
    return 0


def make_video(client: Chameleon, sample: BenchSample, prompt: str, *, seed: int) -> Frames:
    """The first 81 frames of a session, [81, H, W, 3]; the service crops the person and pads the garment."""
    frames: list[Frames] = []
    opening = client.open_session(
        person=sample.person,
        garment=sample.garment,
        prompt=prompt,
        seed=seed,
        format=MediaFormat.RAW,
        pacing=Pacing.UNPACED,
    )
    with opening as session:
        shape = (session.info.height, session.info.width, 3)
        for frame in session.frames():
            frames.append(np.frombuffer(frame.data, np.uint8).reshape(shape))
            if len(frames) == FRAMES:
                break
    if len(frames) < FRAMES:
        raise ValueError(f"{sample.name}: the service sent {len(frames)} frames and ended the session")
    return np.stack(frames)


def _cut(prompt: str, most: int | None) -> str:
    if most is None or len(prompt.encode()) <= most:
        return prompt
    return prompt.encode()[: most + 1].decode(errors="ignore").rpartition(" ")[0]


def _save(video: Frames, path: Path) -> None:
    places = np.linspace(0, len(video) - 1, _SHEET_FRAMES).round().astype(int)
    Image.fromarray(np.concatenate(list(video[places]), axis=1)).save(path, quality=90)


def _table(marks: Sequence[Mapping[str, float]], names: Sequence[str]) -> str:
    found = (interval([mark[name] for mark in marks]) for name in names)
    cells = (f"{value.mean:.4f} ({value.low:.4f}-{value.high:.4f})" for value in found)
    return "\n".join((f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", f"| {' | '.join(cells)} |"))
