"""How all plots look, and how a figure becomes SVG."""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1d2733", "#6b7785", "#e6eaee"
GOOD, SPOILED, WAIT, BAD, SERVICE = "#2f8f83", "#8aa04f", "#f0b95b", "#cf3f3f", "#5468a8"
LINES = ("#2f8f83", "#5468a8", "#c9792b", "#8b4a8f")
WIDTH_IN = 10.6

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def figure(height_in: float) -> Figure:
    """An empty one, as wide as the page."""
    return Figure(figsize=(WIDTH_IN, height_in), layout="constrained")


def styled() -> mpl.RcParams:
    """For `with mpl.rc_context(styled())`."""
    return mpl.RcParams(_STYLE)


def svg(drawn: Figure, name: str) -> str:
    """The `<svg>` element; `name` keeps its ids apart from other figures'."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.id": name}):
        drawn.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def nothing(axes: Axes, words: str) -> None:
    """Says why there is nothing to see."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", color=MUTED, transform=axes.transAxes)
