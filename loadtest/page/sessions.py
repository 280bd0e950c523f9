"""Session by session: who kept up, and when the players stood still."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.judge import OWN_FAULT, Judged
from loadtest.measures import Measure
from loadtest.page.style import BAD, GOOD, MUTED, figure, nothing
from loadtest.summary import WORST_SHARE

_BINS = 40


def sessions_and_stalls(sessions: Sequence[Judged]) -> Figure:
    """Real-time factors, worst first; seconds stood still, by when."""
    drawn = figure(2.7)
    left, right = drawn.subplots(1, 2, width_ratios=(1, 1))
    _factors(left, sessions)
    _stalls(right, sessions)
    return drawn


def _factors(axes: Axes, sessions: Sequence[Judged]) -> None:
    factors = sorted(value for s in sessions for value in s.values.get(Measure.REALTIME_FACTOR, ()))
    if not factors:
        nothing(axes, "Real-time factor: nothing was measured")
        return
    worst = max(1, math.ceil(WORST_SHARE * len(factors)))
    axes.set_title("Real-time factor of each session, worst first")
    colours = [BAD] * worst + [GOOD] * (len(factors) - worst)
    axes.vlines(range(len(factors)), 0, factors, colors=colours, linewidths=max(0.8, min(14.0, 260 / len(factors))))
    axes.axhline(1.0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xticks([])
    axes.set_xlim(-1, len(factors))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{len(factors)} sessions; red: the worst 5 %")
    axes.grid(axis="x", visible=False)


def _stalls(axes: Axes, sessions: Sequence[Judged]) -> None:
    playbacks = [s.playback for s in sessions if s.playback is not None and s.record.behaviour not in OWN_FAULT]
    stalls = [stall for playback in playbacks for stall in playback.stalls]
    if not stalls:
        nothing(axes, "No player stood still." if playbacks else "Stalls: nothing was measured")
        return
    axes.set_title(f"{len(stalls)} stalls, {sum(stall.length_s for stall in stalls):.1f} s: when players stood still")
    end_s = max(playback.ended_s for playback in playbacks)
    width_s = end_s / _BINS
    heights = [
        sum(_overlap(stall.at_s, stall.at_s + stall.length_s, bin_ * width_s, (bin_ + 1) * width_s) for stall in stalls)
        for bin_ in range(_BINS)
    ]
    axes.bar([bin_ * width_s for bin_ in range(_BINS)], heights, width=0.9 * width_s, align="edge", color=BAD)
    axes.set_ylabel(f"player seconds in {width_s:.1f} s")
    axes.set_xlabel("seconds from the run's start")
    axes.set_xlim(0, end_s)


def _overlap(a_s: float, b_s: float, from_s: float, until_s: float) -> float:
    return max(0.0, min(b_s, until_s) - max(a_s, from_s))
