"""How many came, how many stayed, why the others went, and how the scores are spread."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from curation.filtering import FOUND, NOT_JUDGED
from curation.ledger import Entry, Ledger, Outcome, Stage
from curation.review import Decision
from curation.store import Store, write_text

_QUANTILES = (0, 10, 50, 90, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    Attributes:
        passed: clips that passed each stage.
        discarded: clips (videos that cannot be decoded) by stage and reason.
        retries: attempts that had to be made again, by stage and reason.
        waiting: clips that no stage has ended yet.
        not_judged: checks for which the configuration names no model, and of how many clips.
        scores: by check: least, 10th percentile, median, 90th, most.
        rejected: by review; accepted likewise.
        simulated: clips about which the drawn world's simulation decided.
    """

    videos: int
    scenes: int
    scenes_too_short: int
    clips: int
    passed: dict[str, int]
    discarded: dict[str, dict[str, int]]
    retries: dict[str, dict[str, int]]
    waiting: int
    not_judged: dict[str, int]
    scores: dict[str, list[float]]
    accepted: int
    rejected: int
    triplets: int
    simulated: int = field(default=0)

    def markdown(self) -> str:
        lines = [
            "# Curation",
            "",
            f"{self.videos} videos, {self.scenes} scenes ({self.scenes_too_short} too short), {self.clips} clips; "
            f"{self.triplets} triplets, {self.waiting} clips wait.",
            f"Review: {self.accepted} accepted, {self.rejected} rejected.",
        ]
        if self.simulated:
            lines.append(f"**Simulation**: the drawn world's truth, not models, decided about {self.simulated} clips.")
        lines += [f"Not judged: {check} ({count} clips)." for check, count in self.not_judged.items()]
        lines += ["", "| stage | passed | discarded | tried again |", "|---|---|---|---|"]
        for stage in (Stage.SCENES, Stage.FILTER, Stage.CAPTION, Stage.GARMENT, Stage.REFERENCE):
            cells = (_counts(self.discarded.get(stage, {})), _counts(self.retries.get(stage, {})))
            lines.append(f"| {stage} | {self.passed.get(stage, '')} | {' | '.join(cells)} |")
        lines += ["", "| score | least | 10 % | median | 90 % | most |", "|---|---|---|---|---|---|"]
        lines += [f"| {name} | {' | '.join(f'{v:.4g}' for v in values)} |" for name, values in self.scores.items()]
        return "\n".join(lines) + "\n"


def gather(store: Store, decisions: dict[str, Decision], *, triplets: int) -> Report:
    """From the ledgers, whatever state the work is in."""
    videos = [store.video_ledger(video) for video in store.sources()]
    found = [entry for ledger in videos if (entry := ledger.last(Stage.SCENES, FOUND))]
    ledgers = [store.ledger(clip.id) for clip in store.clips()]
    everything = [*videos, *ledgers]
    entries = [entry for ledger in ledgers for entry in ledger.entries]
    stages = (Stage.FILTER, Stage.CAPTION, Stage.GARMENT, Stage.REFERENCE)
    return Report(
        videos=len(videos),
        scenes=sum(len(entry.data["scenes"]) for entry in found),
        scenes_too_short=sum(entry.data["too_short"] for entry in found),
        clips=len(ledgers),
        passed={str(stage): sum(ledger.passed(stage) for ledger in ledgers) for stage in stages},
        discarded=_by_reason(entry for ledger in everything if (entry := ledger.discarded)),
        retries=_by_reason(entry for entry in entries if entry.outcome is Outcome.RETRY),
        waiting=sum(not ledger.discarded and not ledger.passed(Stage.REFERENCE) for ledger in ledgers),
        not_judged=dict(Counter(entry.check for entry in entries if entry.note == NOT_JUDGED)),
        scores=_spreads(entries),
        accepted=sum(decision is Decision.ACCEPT for decision in decisions.values()),
        rejected=sum(decision is Decision.REJECT for decision in decisions.values()),
        triplets=triplets,
        simulated=sum(map(_simulated, ledgers)),
    )


def write_report(out: Path, report: Report) -> None:
    write_text(out / "report.json", json.dumps(asdict(report), indent=1) + "\n")
    write_text(out / "report.md", report.markdown())


def _simulated(ledger: Ledger) -> bool:
    return any("simulation" in (entry.model or "") for entry in ledger.entries)


def _by_reason(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for entry in entries:
        assert entry.reason is not None
        counts.setdefault(str(entry.stage), Counter())[str(entry.reason)] += 1
    return {stage: dict(counter.most_common()) for stage, counter in counts.items()}


def _spreads(entries: Sequence[Entry]) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    for entry in entries:
        for name, score in entry.scores.items():
            scores.setdefault(f"{entry.stage}: {name}", []).append(score)
    return {name: [float(value) for value in np.percentile(values, _QUANTILES)] for name, values in scores.items()}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())
