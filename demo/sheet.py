"""A contact sheet of a video around one of its frames."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Image as Picture

_COLUMNS = 6
_GAP = 8
_CAPTION = 18
_Colour = tuple[int, int, int]
_Cell = tuple[str, Picture, _Colour]
_INK, _PAPER, _MARK = (30, 30, 30), (250, 250, 250), (200, 40, 40)


def read_frames(video: Path) -> list[Picture]:
    with av.open(video) as container:
        return [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def contact_sheet(frames: list[Picture], switch_frame: int, inputs: list[tuple[str, Picture]]) -> Picture:
    """`inputs` in the first row, captioned; then two rows of frames before `switch_frame` and two from it on."""
    before = _spread(range(switch_frame), 2 * _COLUMNS)
    after = _spread(range(switch_frame, len(frames)), 2 * _COLUMNS)
    width, height = frames[0].size
    cells: list[list[_Cell]] = [
        [(caption, image.resize((width, round(image.height * width / image.width))), _INK) for caption, image in inputs]
    ]
    for numbers in _rows(before) + _rows(after):
        cells.append([(_caption(i, switch_frame), frames[i], _MARK if i == switch_frame else _INK) for i in numbers])
    sheet = Image.new(
        "RGB",
        (_GAP + _COLUMNS * (width + _GAP), _GAP + len(cells) * (height + _CAPTION + _GAP)),
        _PAPER,
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row_index, row in enumerate(cells):
        for column, (caption, image, colour) in enumerate(row):
            x, y = _GAP + column * (width + _GAP), _GAP + row_index * (height + _CAPTION + _GAP)
            draw.text((x, y), caption, colour, font)
            sheet.paste(image.crop((0, 0, width, height)), (x, y + _CAPTION))
            if colour is _MARK:
                draw.rectangle(
                    (x - 2, y + _CAPTION - 2, x + width + 1, y + _CAPTION + height + 1), outline=_MARK, width=2
                )
    return sheet


def _caption(frame: int, switch_frame: int) -> str:
    return f"frame {frame}: switch" if frame == switch_frame else f"frame {frame}"


def _spread(frames: range, count: int) -> list[int]:
    """The frames next to the switch count most: the last `count` before it, the first `count` behind it."""
    return list(frames[-count:] if frames.start == 0 else frames[:count])


def _rows(frames: list[int]) -> list[list[int]]:
    return [frames[i : i + _COLUMNS] for i in range(0, len(frames), _COLUMNS)]
