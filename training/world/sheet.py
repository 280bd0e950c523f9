"""A contact sheet: for each sample its reference, its product, and frames of its clip, captions underneath."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from training.world.sample import Sample

_GAP, _COLUMNS = 4, 8


def sheet(samples: list[Sample]) -> Image.Image:
    """One row a sample."""
    return Image.fromarray(np.concatenate([_row(sample) for sample in samples]))


def _row(sample: Sample) -> npt.NDArray[np.uint8]:
    """uint8 [H', W', 3]."""
    indices = np.linspace(0, len(sample.clip) - 1, _COLUMNS).round().astype(int)
    pictures = [sample.reference, sample.product, *sample.clip[indices]]
    rows, columns, _ = pictures[0].shape
    text = max(24, rows // 6)
    width = len(pictures) * (columns + _GAP) + _GAP
    row = Image.new("RGB", (width, rows + text + 2 * _GAP), (255, 255, 255))
    for i, picture in enumerate(pictures):
        row.paste(Image.fromarray(picture), (_GAP + i * (columns + _GAP), _GAP))
    font = ImageFont.load_default(text * 0.34)
    caption = f"{sample.seed}: {sample.static_caption}\n{sample.dynamic_caption}"
    ImageDraw.Draw(row).multiline_text((_GAP, rows + _GAP + 2), caption, (30, 30, 30), font)
    return np.asarray(row)
