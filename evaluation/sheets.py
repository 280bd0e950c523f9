"""Contact sheets: what a stranger would see round a switch, all conditions one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from evaluation.metrics.arrays import Frames

Picture = NDArray[np.uint8]
"""[H, W, 3]."""
OFFSETS = (-12, -6, -3, -1, 0, 1, 2, 3, 6, 9, 15, 21, 27)
"""Frames from the switch that a sheet shows; 0 is the first with the new garment."""
_MARGIN, _LINE = 4, 14
_INK, _PAPER, _RULE = (30, 30, 34), (255, 255, 255), (220, 40, 60)


def sheet(
    inputs: Sequence[Picture],
    clips: Mapping[str, Frames],
    switch_frames: Mapping[str, int],
    *,
    caption: str,
    offsets: Sequence[int] = OFFSETS,
) -> Picture:
    """The inputs on top, then a row of frames for each clip; a red rule stands where the garment switches."""
    height, width = inputs[0].shape[:2]
    wide, high = width + _MARGIN, height + _MARGIN + _LINE
    columns = max(len(offsets), len(inputs))
    canvas = Image.new("RGB", (_MARGIN + columns * wide, _LINE + (1 + len(clips)) * high), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, 1), f"reference, first garment, second garment: {caption}", _INK)
    for place, picture in enumerate(inputs):
        canvas.paste(Image.fromarray(picture), (_MARGIN + place * wide, _LINE))
    for row, (name, frames) in enumerate(clips.items(), start=1):
        top = _LINE + row * high
        draw.text((_MARGIN, top - _LINE + 1), name, _INK)
        for column, offset in enumerate(offsets):
            at = switch_frames[name] + offset
            if not 0 <= at < len(frames):
                continue
            left = _MARGIN + column * wide
            canvas.paste(Image.fromarray(frames[at]), (left, top))
            if offset == 0:
                draw.rectangle((left - 3, top, left - 2, top + height), _RULE)
    return np.asarray(canvas)
