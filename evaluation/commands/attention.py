"""`attention`: where a new chunk looks (reference, garment, sink, recent frames, itself), before and after a switch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from contract.cache_plan import Policy, Role, plan_switch
from evaluation import options as shared
from evaluation import weights
from evaluation.attention import CURRENT, next_chunk_attention
from evaluation.cases import Case
from evaluation.conditions import SessionPlan
from evaluation.drive.reference import fork, text_context
from evaluation.pool import Bench, each_case
from evaluation.report import provenance, write_json
from student.rollout import LatentStream, philox_noise
from student.student import Student

BEFORE = "before the switch"
ROLES = (*(role.value for role in Role), CURRENT)
Shares = dict[str, list[float]]
"""By role: the share of attention, one value a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionTask:
    """Looks at chunk `chunks` of a session, and at the first chunk after a switch there under each policy."""

    chunks: int

    @torch.no_grad()
    def __call__(self, bench: Bench, case: Case) -> dict[str, tuple[Shares, dict[str, int]]]:
        student, opening = bench.student, SessionPlan().opening(case)
        stream = LatentStream(
            student.network, student.geometry, noise=philox_noise(opening.seed), schedule=student.schedule
        )
        reference, garment = (_latent(student, picture) for picture in (opening.person, opening.garment))
        stream.start(reference, garment, text_context(student, opening.prompt))
        last_frame = _last_frame(student, [stream.chunk()[0] for _ in range(self.chunks)])
        found = {BEFORE: _look(student, fork(stream, student))}
        conditions = {
            Role.REFERENCE: student.vae.encode_image(last_frame[None]),
            Role.GARMENT: _latent(student, case.product(case.sample.other)),
        }
        for policy in Policy:
            switched = fork(stream, student)
            switched.prefill(plan_switch(switched.state, policy), conditions)
            found[f"after {policy.value}"] = _look(student, switched)
        return found


def _look(student: Student, stream: LatentStream) -> tuple[Shares, dict[str, int]]:
    _, shares, frames = next_chunk_attention(stream, student.network, student.geometry.tokens_per_frame)
    return {role: list(map(float, values)) for role, values in shares.items()}, frames


def _last_frame(student: Student, chunks: list[torch.Tensor]) -> torch.Tensor:
    """[H, W, 3] uint8 of chunks [F, C, h, w]."""
    caches: tuple[torch.Tensor, ...] | None = None
    for latent in torch.cat(chunks):
        shown, caches = student.vae.decode(latent[None], caches)
    return shown[-1]


def _latent(student: Student, picture: NDArray[np.uint8]) -> torch.Tensor:
    return student.vae.encode_image(torch.from_numpy(picture)[None])


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("attention", help="where a new chunk looks", description=__doc__)
    shared.add_case_options(parser, cases=6)
    shared.add_student_options(parser)
    shared.add_out(parser)
    parser.add_argument("--chunks", type=int, default=5, help="before the chunk looked at (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.chunks < 1:
        raise ValueError(f"--chunks must be at least 1, got {options.chunks}")
    cases = shared.chosen_cases(options)
    task = AttentionTask(chunks=options.chunks)
    results = list(each_case(shared.setup(options), task, cases, workers=options.workers, title="attention"))
    moments = {name: _mean([result[name][0] for result in results]) for name in results[0]}
    frames = {name: results[0][name][1] for name in results[0]}
    content = provenance(
        seeds=options.seeds,
        cases=len(results),
        weights=options.weights,
        weights_sha256=weights.digest(options.weights),
        chunks=options.chunks,
    )
    content["share_by_layer"] = {
        name: {role: list(v) for role, v in shares.items()} for name, shares in moments.items()
    }
    write_json(options.out / "attention.json", content | {"latent_frames": frames})
    text = _table(moments, frames)
    (options.out / "attention.md").write_text(
        f"# Where a new chunk looks\n\n{len(results)} held-out cases.\n\n{text}\n"
    )
    plot(moments, options.out / "attention.png")
    Console().print(text, markup=False, soft_wrap=True)
    return 0


Moments = Mapping[str, Mapping[str, NDArray[np.float64]]]


def _mean(cases: list[Shares]) -> dict[str, NDArray[np.float64]]:
    return {role: np.mean([case[role] for case in cases], axis=0) for role in cases[0]}


def _table(moments: Moments, frames: Mapping[str, Mapping[str, int]]) -> str:
    lines = [f"| | {' | '.join(ROLES)} |", f"|---|{'---|' * len(ROLES)}"]
    for name, shares in moments.items():
        cells = (
            f"{100 * float(shares[role].mean()):.0f} % of {frames[name][role]}" if role in shares else "-"
            for role in ROLES
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join((*lines, "", "Mean over layers; behind each share, the number of latent frames that it goes to."))


def plot(moments: Moments, path: Path) -> None:
    """Stacked bars, one a layer, a panel for each moment."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(moments), 3.2), layout="constrained")
    panels = figure.subplots(1, len(moments), sharey=True, squeeze=False)[0]
    for panel, (name, shares) in zip(panels, moments.items(), strict=True):
        floor = np.zeros(len(next(iter(shares.values()))))
        for number, role in enumerate(ROLES):
            if role in shares:
                layers = np.arange(1, len(floor) + 1)
                panel.bar(layers, shares[role], bottom=floor, label=role, color=f"C{number}")
                floor = floor + shares[role]
        panel.set(title=name, xlabel="layer")
    panels[0].set_ylabel("share of attention")
    panels[0].legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
